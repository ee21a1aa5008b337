"""HTTP on a client's socket, before a possible upgrade: bounded in number and in time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from h11 import DONE, IDLE, SEND_BODY, SEND_RESPONSE
from uvicorn.protocols.http.h11_impl import H11Protocol

from localgateway.api_gateway.quotas import HEAD_LIMIT

if TYPE_CHECKING:
    import asyncio

    import h11

# In seconds, for a complete request header, and for the rest of a body that nobody reads.
HEAD_TIMEOUT = 10.0

_log = logging.getLogger(__name__)


class HttpSocket(H11Protocol):
    """uvicorn's HTTP protocol, which drops sockets over the limit and incomplete requests."""

    _head_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Accept the socket, or drop it if too many are open."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            _log.warning("dropped a socket: %d are open", len(self.connections))
            transport.abort()
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers when the socket has closed."""
        self._cancel_head_timer()
        self._cancel_rest_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request; each request header on the socket has the time limit."""
        super().data_received(data)
        if not self._has_rest():
            self._cancel_rest_timer()
        if self.conn.their_state is not IDLE:
            self._cancel_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._start_head_timer()

    def on_response_complete(self) -> None:
        """Limit the time for the rest of the body; uvicorn's timer ends with its next byte."""
        super().on_response_complete()
        if self._has_rest() and not self.transport.is_closing():
            self._cancel_rest_timer()
            self._rest_timer = self.loop.call_later(HEAD_TIMEOUT, self._drop, "body")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Switch to the WebSocket protocol and keep the spelling of the header names."""
        self._cancel_head_timer()
        if refusal := _refusal(event):
            self.transport.write(refusal)
            self.transport.close()
            return
        self.headers = event.headers.raw_items()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn passes it
        """Refuse the rest of a broken request; the answer that is being made has no place then."""
        if self.conn.our_state in (IDLE, SEND_RESPONSE):  # it has no part of an answer yet
            self.transport.write(_response("400 Bad Request"))
        self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True

    def _has_rest(self) -> bool:
        """Return whether the request was answered before the end of its body."""
        return self.conn.our_state is DONE and self.conn.their_state is SEND_BODY

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._drop, "header")

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cancel_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _drop(self, part: str) -> None:
        _log.warning(
            "dropped a socket from %s: no complete request %s after %g s",
            self.client,
            part,
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
