"""Open connections and their registry."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from localgateway.api_gateway.timeouts import ExpiryTimer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from localgateway.api_gateway.events import Client
    from localgateway.api_gateway.timeouts import Timeouts

# Bytes that may wait for a client that reads slowly.
SEND_BUFFER_LIMIT = 256 * 1024


class Socket(Protocol):
    """The WebSocket of a connection."""

    @property
    def buffered(self) -> int:
        """Return the number of bytes that the client has not read yet."""

    def start_close(self, code: int, reason: str) -> bool:
        """Send a close frame; return False if the connection is already closing."""

    def send_text(self, data: bytes) -> bool:
        """Send a text message; return False if the connection is already closing."""


class GoneError(Exception):
    """No connection with this id is open."""


class BufferFullError(Exception):
    """The client reads too slowly: the send buffer has no room for this message."""


class Connection:
    """An open connection; it is closed with 1001 when it reaches a timeout."""

    __slots__ = ("_socket", "_timer", "active_at", "client")

    def __init__(
        self, client: Client, socket: Socket, timeouts: Timeouts, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.client = client
        self.active_at = client.connected_at
        self._socket = socket
        self._timer = ExpiryTimer(timeouts, loop, self._going_away)

    def heard(self) -> None:
        """Record a message of the client, the only thing that shows that it is still there."""
        self._timer.restart_idle_timeout()
        self.active_at = round(time.time() * 1000)

    def told(self) -> None:
        """Record a message to the client. It may be waiting for a client that is gone."""
        self._timer.restart_idle_timeout()

    def post(self, data: bytes) -> None:
        """Send a text message; raise `GoneError` or `BufferFullError` instead of waiting."""
        if self._socket.buffered + len(data) > SEND_BUFFER_LIMIT:
            raise BufferFullError
        if not self._socket.send_text(data):
            raise GoneError
        self.told()

    def close(self, code: int, reason: str) -> None:
        """Start to close the connection; raise `GoneError` if it is already closing."""
        if not self._socket.start_close(code, reason):
            raise GoneError

    def cancel_timer(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()

    def _going_away(self) -> None:
        self._socket.start_close(1001, "Going away")


class Registry:
    """The open connections by id, at most `max_connections` of them."""

    def __init__(self, max_connections: int) -> None:
        self._max = max_connections
        self._reserved = 0
        self._open: dict[str, Connection] = {}

    @property
    def full(self) -> bool:
        """Return whether the limit of connections is reached."""
        return self._reserved >= self._max

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def get(self, connection_id: str) -> Connection:
        """Return an open connection; raise `GoneError` if there is none with this id."""
        try:
            return self._open[connection_id]
        except KeyError:
            raise GoneError from None

    @contextlib.contextmanager
    def reserve(self) -> Iterator[None]:
        """Count a connection from its handshake until `$disconnect` has been delivered."""
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1

    @contextlib.contextmanager
    def open(self, connection: Connection) -> Iterator[None]:
        """Keep the connection in the registry within the block, then cancel its timer."""
        self._open[connection.client.connection_id] = connection
        try:
            yield
        finally:
            del self._open[connection.client.connection_id]
            connection.cancel_timer()
