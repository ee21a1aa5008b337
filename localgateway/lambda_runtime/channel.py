"""The channel to an execution environment: a socket over which lines go one at a time.

asyncio's streams would do, but cost a third of what the gateway spends on an event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


class Channel(asyncio.Protocol):
    """The gateway's end; a line longer than `limit` bytes breaks it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._lines: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self.closed = False

    @classmethod
    async def open(cls, sock: socket.socket, limit: int) -> Channel:
        """Return the channel over a connected socket."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(limit), sock=sock)
        return channel

    def write(self, line: bytes) -> None:
        """Send a line, which ends with a line break, unless the other end is closed."""
        if not self.closed:  # uvloop raises for a transport that is closed
            self._transport.write(line)

    async def line(self, timeout: float) -> bytes:
        """Return the next line, or nothing if the other end is closed.

        Raise `TimeoutError` after `timeout` seconds and `ValueError` if the line is too long.
        """
        if not self._lines and not self.closed and self._size <= self._limit:
            self._waiting = self._loop.create_future()
            timer = self._loop.call_later(timeout, self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        if self._lines:
            return self._lines.pop(0)
        if self._size > self._limit:
            raise ValueError(f"a line exceeds {self._limit} bytes")
        if self.closed:
            return b""
        raise TimeoutError

    def close(self) -> None:
        """Close it, which ends the process at the other end."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment] # it is a Transport

    def data_received(self, data: bytes) -> None:
        """Receive a part of a line, or lines."""
        if self._size > self._limit:
            return
        end = data.find(b"\n")
        if end == -1:
            self._parts.append(data)
            self._size += len(data)
            if self._size > self._limit:
                self._wake()
            return
        line = b"".join([*self._parts, data[: end + 1]])
        self._parts, self._size = [], 0
        if len(line) > self._limit:
            self._size = len(line)
        else:
            self._lines.append(line)
        self._wake()
        if rest := data[end + 1 :]:
            self.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader: nothing more comes."""
        del exc
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
