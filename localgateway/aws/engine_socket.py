"""HTTP on a socket of the embedded AWS, whose clients may be anybody on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

# In seconds, for a complete request; a call of moto may hold the event loop for some of them.
REQUEST_TIMEOUT = 30.0


class EngineSocket(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which drops sockets whose request is not complete in time.

    Between requests, uvicorn's keep-alive time counts. A request that is refused ends its socket,
    so only those who have this run's keys can use that time.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Accept the socket and limit the time for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer when the socket has closed."""
        self._cancel_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Limit the time for a further request from its first byte on."""
        super().on_message_begin()
        if self._timer is None:
            self._start_timer()

    def on_message_complete(self) -> None:
        """Cancel the timer: the answer may take any time."""
        self._cancel_timer()
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
