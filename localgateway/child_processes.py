"""Processes of the gateway other than execution environments."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from localgateway.errors import ChildError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT = Path(__file__).resolve().parents[1]
_LINE_LIMIT = 1024 * 1024


class Child:
    """A Python module that runs as a process of its own.

    Its standard output is the gateway's; what it has to say to a person goes to its standard
    error. It is out of reach of the terminal's Ctrl-C, and ends when its standard input does.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(cls, name: str, *arguments: str, environ: Mapping[str, str]) -> Child:
        """Start `python -m` with these arguments; `name` is what messages call it."""
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

    async def line(self, limit: float) -> bytes:
        """Wait `limit` seconds for a line; raises ChildError when none comes."""
        said = cast(asyncio.StreamReader, self._process.stdout)  # it is a pipe
        try:
            async with asyncio.timeout(limit):
                line = await said.readline()
        except TimeoutError as error:
            raise ChildError(self.name, f"said nothing for {limit:g} s") from error
        if not line:
            raise ChildError(self.name, f"ended with exit status {await self._process.wait()}")
        return line

    async def success(self, limit: float) -> None:
        """Wait `limit` seconds for its end; raises ChildError when it does not end well."""
        try:
            async with asyncio.timeout(limit):
                await self._process.communicate()
        except TimeoutError as error:
            raise ChildError(self.name, f"did not end within {limit:g} s") from error
        if self._process.returncode != 0:
            raise ChildError(self.name, f"ended with exit status {self._process.returncode}")

    async def end(self) -> ChildError:
        """Wait for a process that should not end to end."""
        return ChildError(self.name, f"ended with exit status {await self._process.wait()}")

    async def stop(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
