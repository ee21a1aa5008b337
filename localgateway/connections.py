"""The connections that are open now."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from localgateway.events import Client


class Socket(Protocol):
    """What a connection needs of its WebSocket."""

    @property
    def buffered(self) -> int:
        """Give the bytes that the client has not taken yet."""

    def start_close(self, code: int, reason: str) -> bool:
        """Send a close frame; False if the connection is closing already."""

    def send_text(self, data: bytes) -> bool:
        """Send a text message; False if the connection is closing already."""


class GoneError(Exception):
    """The connection is not open: it never was, not yet, or no longer."""


class BufferFullError(Exception):
    """The client takes its messages too slowly for another one."""


@dataclass(frozen=True)
class Limits:
    """How long a connection may live and idle, in s, and how much may wait for it, in bytes."""

    idle_timeout: float
    max_duration: float
    send_buffer: int


def due(opened: float, last_active: float, limits: Limits) -> float:
    """Give the moment at which a connection is closed if nothing more happens, in s."""
    return min(last_active + limits.idle_timeout, opened + limits.max_duration)


class Connection:
    """An open connection, closed with 1001 when it idles or lives too long."""

    __slots__ = (
        "_active",
        "_limits",
        "_loop",
        "_opened",
        "_socket",
        "_timer",
        "active_at",
        "client",
    )

    def __init__(
        self, client: Client, socket: Socket, limits: Limits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.client = client
        self.active_at = client.connected_at
        self._socket = socket
        self._limits = limits
        self._loop = loop
        self._opened = self._active = loop.time()
        self._timer = loop.call_at(due(self._opened, self._active, limits), self._check)

    def touch(self) -> None:
        """Note a message in either direction."""
        # The timer is not moved: it looks at this when it fires, which is cheaper per message.
        self._active = self._loop.time()
        self.active_at = round(time.time() * 1000)

    def post(self, data: bytes) -> None:
        """Send a text message at once; raises GoneError or BufferFullError."""
        if self._socket.buffered + len(data) > self._limits.send_buffer:
            raise BufferFullError
        if not self._socket.send_text(data):
            raise GoneError
        self.touch()

    def close(self, code: int, reason: str) -> None:
        """Close it from this side; raises GoneError if it is closing already."""
        if not self._socket.start_close(code, reason):
            raise GoneError

    def forget(self) -> None:
        """End its timer."""
        self._timer.cancel()

    def _check(self) -> None:
        moment = due(self._opened, self._active, self._limits)
        if moment > self._loop.time():
            self._timer = self._loop.call_at(moment, self._check)
        else:
            self._socket.start_close(1001, "Going away")


class Registry:
    """The open connections by id, and how many more may come."""

    def __init__(self, max_connections: int) -> None:
        self._max = max_connections
        self._taken = 0
        self._open: dict[str, Connection] = {}

    @property
    def full(self) -> bool:
        """Tell whether another handshake is one too many."""
        return self._taken >= self._max

    def get(self, connection_id: str) -> Connection:
        """Give an open connection; raises GoneError."""
        try:
            return self._open[connection_id]
        except KeyError:
            raise GoneError from None

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place from the handshake until `$disconnect` is delivered."""
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    @contextlib.contextmanager
    def open(self, connection: Connection) -> Iterator[None]:
        """Have a connection in the registry."""
        self._open[connection.client.connection_id] = connection
        try:
            yield
        finally:
            del self._open[connection.client.connection_id]
            connection.forget()
