"""The WebSocket protocol with API Gateway's limits and behavior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.exceptions import InvalidState

from localgateway.api_gateway.connections import SEND_BUFFER_LIMIT
from localgateway.api_gateway.quotas import FRAME_SIZE, HEAD_LIMIT, MESSAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.frames import Frame

# The server limits a request header as a whole; these bounds of the parser would be lower.
http11.MAX_LINE_LENGTH = HEAD_LIMIT
http11.MAX_NUM_HEADERS = HEAD_LIMIT

# In seconds, for the client's answer to a close frame.
CLOSE_TIMEOUT = 5.0


class ClientSocket(WebSocketsSansIOProtocol):
    """A WebSocket that behaves like one of API Gateway.

    It answers pings, which do not count as activity: only messages restart the idle timeout. It
    does not negotiate permessage-deflate. The application finds it in its scope's state, as
    `socket`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app_state = {"socket": self}
        self.conn.max_message_size = MESSAGE_SIZE
        self.conn.max_fragment_size = FRAME_SIZE
        self._stopping = False

    @property
    def buffered(self) -> int:
        """Return the number of bytes that the client has not read yet."""
        return self.transport.get_write_buffer_size()

    def start_close(self, code: int, reason: str) -> bool:
        """Send a close frame; return False if the connection is not open."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            return False
        try:
            self.conn.send_close(code, reason)
        except InvalidState:  # the client's own close frame came first
            return False
        self._finish(code, reason)
        return True

    def send_text(self, data: bytes) -> bool:
        """Send a text message without waiting; return False if the connection is not open."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            return False
        try:
            self.conn.send_text(data)
        except InvalidState:
            return False
        self._flush()
        return True

    def connection_made(self, transport: Any) -> None:
        """Allow `buffered` to reach its limit before sending waits for the client."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=SEND_BUFFER_LIMIT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report 1006; uvicorn reports 1005, which means a close frame without a status."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Ignore data after an invalid frame, and answer a request that is not a handshake."""
        if self.conn.parser_exc is not None:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self._flush()
            self.transport.close()

    def handle_parser_exception(self) -> None:
        """Fail the connection but keep reading, or the client would lose the close frame."""
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
        """Close as uvicorn does, within a time limit for a client that does not read."""
        super().handle_close(event)
        self._abort_later()

    def shutdown(self) -> None:
        """Close with 1001 where uvicorn closes with 1012, after a pending handshake."""
        self._stopping = True
        self.start_close(1001, "Going away")

    def handle_cont(self, event: Frame) -> None:
        """Keep no empty fragments: a client could send them without end."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Close with 1007 for text that is not UTF-8; uvicorn would log a traceback, too."""
        if self.close_sent or self.curr_msg_data_type != "text" or _is_utf8(self.frames):
            super().send_receive_event_to_app()
            return
        self.frames = []
        self.conn.send_close(1007)
        self.handle_parser_exception()

    async def send(self, message: Any) -> None:
        """Carry out an ASGI message of the application."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn logs an error for each refusal otherwise
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


def _is_utf8(frames: Sequence[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
