"""uvicorn's server and protocols, with the limits and the manners of API Gateway.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import uvicorn
from h11 import IDLE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterator

    import h11
    from websockets.frames import Frame

MESSAGE_LIMIT = 128 * 1024
FRAME_LIMIT = 32 * 1024
SEND_BUFFER_LIMIT = 256 * 1024
HEAD_LIMIT = 16 * 1024
HEAD_TIMEOUT = 10.0
CLOSE_TIMEOUT = 5.0
STOP_TIMEOUT = 60
# Sockets that are not, or not yet, WebSocket connections: calls of @connections, handshakes.
OTHER_SOCKETS = 1000

_log = logging.getLogger(__name__)


class ClientSocket(WebSocketsSansIOProtocol):
    """A WebSocket as API Gateway keeps it.

    A ping is answered here and does not count as activity: only messages keep a connection from
    idling out. permessage-deflate is not negotiated. The application finds it in the state of
    its scope, as `socket`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app_state = {"socket": self}
        self.conn.max_message_size = MESSAGE_LIMIT
        self.conn.max_fragment_size = FRAME_LIMIT
        self._stopping = False

    @property
    def buffered(self) -> int:
        """Give the bytes that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def start_close(self, code: int, reason: str) -> bool:
        """Send a close frame, unless the connection is closing already or was never open."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            return False
        try:
            self.conn.send_close(code, reason)
        except InvalidState:  # the client's own close frame came first
            return False
        self._finish(code, reason)
        return True

    def send_text(self, data: bytes) -> bool:
        """Send a text message at once, unless the connection is closing or was never open."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            return False
        try:
            self.conn.send_text(data)
        except InvalidState:
            return False
        self._flush()
        return True

    def connection_made(self, transport: Any) -> None:
        """Let `buffered` reach its limit before sending waits for the client."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=SEND_BUFFER_LIMIT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report 1006; uvicorn reports 1005, which is a close frame without a status."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Drop what comes after a broken frame, and answer a head that is no handshake."""
        if self.conn.parser_exc is not None:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self._flush()
            self.transport.close()

    def handle_parser_exception(self) -> None:
        """Fail the connection, but go on reading: closing would cost the client the close frame."""
        if not self.handshake_complete or self.conn.close_sent is None:
            self.transport.abort()
            return
        self._finish(self.conn.close_sent.code, None)
        self.transport.write_eof()

    def handle_ping(self) -> None:
        """Drop the pong for a client that does not read, or its pings would fill the memory."""
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(output)

    def handle_close(self, event: Frame) -> None:
        """Close as uvicorn does, but do not wait for ever for a client that does not read."""
        super().handle_close(event)
        self._abort_later()

    def shutdown(self) -> None:
        """Close with 1001 where uvicorn closes with 1012; a handshake is finished first."""
        self._stopping = True
        self.start_close(1001, "Going away")

    async def send(self, message: Any) -> None:
        """Carry out what the application asks for."""
        await super().send(message)
        if self._stopping:
            self.start_close(1001, "Going away")
        if self.close_sent:
            self._abort_later()

    def _finish(self, code: int, reason: str | None) -> None:
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._flush()
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_later()

    def _flush(self) -> None:
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _abort_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        if not self.disconnected:
            self.close_timer = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)


class HttpSocket(H11Protocol):
    """HTTP whose sockets are bounded in number, and dropped if no request head comes in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Take a socket, or drop it when there are too many."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            _log.warning("dropped a socket: %d are open", len(self.connections))
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket."""
        self._stop_awaiting_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; a later head on the same socket has its time limit too."""
        super().data_received(data)
        if self.conn.their_state is not IDLE:
            self._stop_awaiting_head()
        elif self._head_timer is None and not self.transport.is_closing():
            self._await_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the socket over, with the names of the headers as the client wrote them."""
        self._stop_awaiting_head()
        self.headers = event.headers.raw_items()
        super().handle_websocket_upgrade(event)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._drop)

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _drop(self) -> None:
        _log.warning("dropped a socket of %s: no request head in %g s", self.client, HEAD_TIMEOUT)
        self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to whoever runs it and says when it serves."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._started()

    def stop(self) -> None:
        """Close every connection with 1001 and end once each `$disconnect` is delivered.

        The second time, do not wait any longer.
        """
        if self.should_exit:
            self.force_exit = True
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone: uvicorn would raise them again at its end, and exit with an error."""
        yield


def configuration(application: Any, max_connections: int) -> uvicorn.Config:
    """Configure uvicorn as API Gateway's front."""
    return uvicorn.Config(
        application,
        http=HttpSocket,
        ws=ClientSocket,
        loop="asyncio",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        h11_max_incomplete_event_size=HEAD_LIMIT,
        # At this number uvicorn answers 503; HttpSocket drops the socket before it comes to that.
        limit_concurrency=max_connections + OTHER_SOCKETS + 1,
        timeout_graceful_shutdown=STOP_TIMEOUT,
    )
