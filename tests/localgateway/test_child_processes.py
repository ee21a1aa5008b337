"""Child processes of the gateway."""

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from localgateway.child_processes import Child
from localgateway.errors import ChildError
from localgateway.process_environment import Credentials, embedded


def test_a_process_that_takes_too_long_is_an_error() -> None:
    """The wait for its output is bounded."""

    async def run() -> None:
        child = await Child.start(
            "silent one", "http.server", "0", environ=embedded(os.environ, Credentials())
        )
        try:
            await child.line(0.05)
        finally:
            await child.stop()

    with pytest.raises(ChildError, match=r"silent one .* 0\.05 s"):
        asyncio.run(run())


def test_lines_are_read_until_the_process_ends() -> None:
    """One that is too long is left out, with its end."""

    async def run() -> list[bytes]:
        child = await Child.start(
            "printing one",
            "timeit",
            *("-n1", "-r1", "-s", "print('first'); print('x' * 3_000_000); print('last')", "pass"),
            environ=embedded(os.environ, Credentials()),
        )
        lines = await _all(child.lines())
        await child.stop()
        return lines

    lines = asyncio.run(run())

    assert lines[:2] == [b"first\n", b"last\n"]
    assert max(map(len, lines)) < 1000


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"1\n2\n", [b"1\n", b"2\n"]),
        (b"1\n%b\n2\n" % (b"x" * 50), [b"1\n", b"2\n"]),
        (b"%b\n%b\n2" % (b"x" * 50, b"y" * 9), [b"2"]),
        (b"1\n\n%b" % (b"x" * 50), [b"1\n", b"\n"]),
        (b"%b\n" % (b"x" * 8), [b"x" * 8 + b"\n"]),
    ],
)
def test_a_long_line_is_left_out_up_to_its_end(
    output: bytes, expected: list[bytes], size: int
) -> None:
    """However its parts arrive; the lines around it are whole."""

    async def run() -> list[bytes]:
        reader = asyncio.StreamReader(limit=8)
        process: Any = SimpleNamespace(stdout=reader)
        reading = asyncio.create_task(_all(Child("printing one", process).lines()))
        for start in range(0, len(output), size):
            reader.feed_data(output[start : start + size])
            await asyncio.sleep(0)
        reader.feed_eof()
        return await reading

    assert asyncio.run(run()) == expected


async def _all(lines: AsyncIterator[bytes]) -> list[bytes]:
    return [line async for line in lines]
