"""HTTP on a client's socket, before a possible upgrade: bounded in number and in time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from h11 import IDLE
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    import h11

# In seconds, for a complete request header.
HEAD_TIMEOUT = 10.0

_log = logging.getLogger(__name__)


class HttpSocket(H11Protocol):
    """uvicorn's HTTP protocol, which drops sockets over the limit and incomplete requests."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Accept the socket, or drop it if too many are open."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            _log.warning("dropped a socket: %d are open", len(self.connections))
            transport.abort()
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer when the socket has closed."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request; each request header on the socket has the time limit."""
        super().data_received(data)
        if self.conn.their_state is not IDLE:
            self._cancel_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._start_head_timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Switch to the WebSocket protocol and keep the spelling of the header names."""
        self._cancel_head_timer()
        self.headers = event.headers.raw_items()
        super().handle_websocket_upgrade(event)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._drop)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _drop(self) -> None:
        _log.warning(
            "dropped a socket from %s: no complete request header after %g s",
            self.client,
            HEAD_TIMEOUT,
        )
        self.transport.abort()
