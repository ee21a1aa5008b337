"""Child processes of the gateway."""

import asyncio
import os

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
    """One that is too long is left out."""

    async def run() -> list[bytes]:
        child = await Child.start(
            "printing one",
            "timeit",
            *("-n1", "-r1", "-s", "print('first'); print('x' * 3_000_000); print('last')", "pass"),
            environ=embedded(os.environ, Credentials()),
        )
        return [line async for line in child.lines()]

    lines = asyncio.run(run())

    assert lines[0] == b"first\n"
    assert b"last\n" in lines
    assert max(map(len, lines)) < 2_000_000
