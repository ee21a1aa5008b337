"""The output of execution environments, read line by line."""

import asyncio
import os
from pathlib import Path

import pytest

from localgateway.lambda_runtime import function_log
from localgateway.lambda_runtime.function_log import OutputPipe
from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.outcomes import Returned
from tests.localgateway.lambda_runtime.handlers import with_function


def read(*parts: bytes) -> list[bytes]:
    """Write parts to a pipe, close it and return the lines that it passed on."""
    lines: list[bytes] = []

    async def run() -> None:
        pipe, descriptor = await OutputPipe.open("sample", lambda _, line: lines.append(line))
        for part in parts:
            await asyncio.to_thread(os.write, descriptor, part)
        os.close(descriptor)
        await pipe.drain()

    asyncio.run(run())
    return lines


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\n", b"\n"], [b"ab", b""]),
        ([b"no line break"], [b"no line break"]),
        ([], []),
        ([b"x" * 100_000 + b"\n"], [b"x" * 100_000]),
    ],
)
def test_lines_are_passed_on_whole(parts: list[bytes], lines: list[bytes]) -> None:
    """Parts of a line are joined; the last line needs no line break."""
    assert read(*parts) == lines


def test_a_line_over_the_limit_is_passed_on_in_parts() -> None:
    """A function that never ends its line cannot fill the gateway's memory."""
    size = 3 * function_log.LINE_LIMIT

    lines = read(*[b"x" * 65_536] * (size // 65_536))

    assert b"".join(lines) == b"x" * size
    assert max(map(len, lines)) < 2 * function_log.LINE_LIMIT


def test_a_process_that_keeps_the_pipe_open_does_not_delay_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A detached process may outlive its environment."""
    monkeypatch.setattr(function_log, "_DRAIN_TIMEOUT", 0.05)

    async def run() -> int:
        pipe, descriptor = await OutputPipe.open("sample", lambda *_: None)
        await pipe.drain()
        return descriptor

    os.close(asyncio.run(run()))


@pytest.mark.parametrize("size", [1, 3])
def test_environments_side_by_side_never_mix_their_lines(project: Path, size: int) -> None:
    """Long lines exceed what the kernel writes to a pipe at once."""
    lines: list[tuple[str, bytes]] = []

    async def use(function: Function) -> None:
        outcomes = await asyncio.gather(*(function.invoke(str(n) * 20_000) for n in range(6)))
        assert all(isinstance(outcome, Returned) for outcome in outcomes)

    with_function(project, "handlers.echo", use, size=size, log=lambda *line: lines.append(line))

    assert sorted(lines) == [("sample", f"said {str(n) * 20_000}".encode()) for n in range(6)]
