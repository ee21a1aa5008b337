"""HTTP on a client's socket, before a possible upgrade: bounded in number and in time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from h11 import IDLE
from uvicorn.protocols.http.h11_impl import H11Protocol

from localgateway.api_gateway.quotas import HEAD_LIMIT

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
        if refusal := _refusal(event):
            self.transport.write(refusal)
            self.transport.close()
            return
        self.headers = event.headers.raw_items()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Refuse the rest of a broken request; the answer that is being made has no place then."""
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True

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


def _refusal(request: h11.Request) -> bytes | None:
    """Return the response to a handshake that the WebSocket protocol would not refuse so.

    https://www.rfc-editor.org/rfc/rfc6455#section-4.2
    """
    first = len(request.method) + len(request.target) + len(" ") * 2 + len("HTTP/1.1\r\n")
    lines = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers)
    if first + lines + len("\r\n") > HEAD_LIMIT:
        return _response("431 Request Header Fields Too Large")
    if request.http_version < b"1.1":
        return _response("400 Bad Request")
    versions = [value for name, value in request.headers if name == b"sec-websocket-version"]
    if versions and versions != [b"13"]:
        return _response("426 Upgrade Required", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    return None


def _response(status: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()
