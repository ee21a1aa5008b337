"""Child processes of the gateway, except execution environments."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from localgateway.errors import ChildError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_ROOT = Path(__file__).resolve().parents[1]
_LINE_LIMIT = 1024 * 1024


class Child:
    """A Python module that runs as a child process.

    The gateway reads its standard output; its standard error is the gateway's. It runs in a
    session of its own, out of reach of the terminal's Ctrl+C, and exits when its standard input
    ends.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, *arguments: str, environ: Mapping[str, str]) -> Child:
        """Start `python -m` with these arguments; error messages begin with `name`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            env=environ,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
        return cls(name, process)

    def write(self, line: str) -> None:
        """Send a line to its standard input."""
        cast(asyncio.StreamWriter, self._process.stdin).write(f"{line}\n".encode())

    async def line(self, timeout: float) -> bytes:
        """Return the next line of output; raise `ChildError` after `timeout` seconds."""
        output = cast(asyncio.StreamReader, self._process.stdout)  # it is a pipe
        try:
            async with asyncio.timeout(timeout):
                line = await output.readline()
        except TimeoutError as error:
            raise ChildError(self.name, f"did not respond within {timeout:g} s") from error
        if not line:
            raise await self.end()
        return line

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of its output until it exits; a line over 1 MB is left out."""
        output = cast(asyncio.StreamReader, self._process.stdout)  # it is a pipe
        is_rest = False
        while True:
            try:
                line = await output.readuntil()
            except asyncio.LimitOverrunError as error:
                await output.readexactly(error.consumed)
                is_rest = True
                continue
            except asyncio.IncompleteReadError as error:
                if error.partial and not is_rest:
                    yield error.partial
                return
            if not is_rest:
                yield line
            is_rest = False

    async def end(self) -> ChildError:
        """Wait for a long-running process to exit; return the error that describes its exit."""
        return ChildError(self.name, f"exited with status {await self._process.wait()}")

    async def stop(self) -> None:
        """Kill the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
