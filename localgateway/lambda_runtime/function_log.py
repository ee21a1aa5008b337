"""The output of an execution environment, read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgateway.observer.observer import Observer

# Called with a function's name and one line of its output, without the line break.
LogSink = Callable[[str, bytes], None]

# In bytes; a longer line is passed on in parts. CloudWatch Logs splits events at this size, too.
LINE_LIMIT = 256 * 1024
# In seconds; a process that a handler has detached could hold the pipe open for ever.
_DRAIN_TIMEOUT = 1.0


class InvocationLog:
    """Passes on the lines of an execution environment, and reports each to the observer.

    `invocation` is the number of the one that runs, or ran last. A line can be told apart because
    a function writes it before its result, and the environment serves one event at a time.
    """

    def __init__(self, sink: LogSink, observer: Observer) -> None:
        self.invocation = 0
        self._sink = sink
        self._observer = observer

    def __call__(self, name: str, line: bytes) -> None:
        """Receive a line."""
        self._observer.logged(name, self.invocation, line)
        self._sink(name, line)


class OutputPipe(asyncio.Protocol):
    """A pipe for one process: `sink` receives each line whole, in order."""

    def __init__(self, name: str, sink: LogSink) -> None:
        self._name = name
        self._sink = sink
        self._rest = b""
        self._ended = asyncio.get_running_loop().create_future()
        self._transport: asyncio.ReadTransport

    @classmethod
    async def open(cls, name: str, sink: LogSink) -> tuple[OutputPipe, int]:
        """Return a new pipe and the descriptor to write to, which the caller closes."""
        read, write = os.pipe()
        file = os.fdopen(read, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        _, pipe = await loop.connect_read_pipe(lambda: cls(name, sink), file)
        return pipe, write

    async def drain(self) -> None:
        """Pass on what is left after the process has exited, and close the pipe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_TIMEOUT):
                await asyncio.shield(self._ended)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to close it."""
        self._transport = transport  # type: ignore[assignment] # it is a ReadTransport

    def data_received(self, data: bytes) -> None:
        """Pass on the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) >= LINE_LIMIT:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._sink(self._name, line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on a last line without a line break."""
        del exc
        if self._rest:
            self._sink(self._name, self._rest)
        self._ended.set_result(None)
