"""The uvicorn server in front of the API."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import uvicorn

from localgateway.api_gateway.http_protocol import HttpSocket
from localgateway.api_gateway.quotas import HEAD_LIMIT
from localgateway.api_gateway.websocket_protocol import ClientSocket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

# In seconds, until connections that are still closing are cut off.
STOP_TIMEOUT = 60
# Sockets besides open WebSocket connections: handshakes and requests to @connections or Invoke.
OTHER_SOCKETS = 1000


class Server(uvicorn.Server):
    """uvicorn's server without signal handlers; it calls `started` once it listens.

    `connections` returns the number of open connections; `closing` is called before they close.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        connections: Callable[[], int],
        closing: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._started = started
        self._connections = connections
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `started`."""
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection, and say how many they were."""
        self._closing()
        number = self._connections()
        connections = f"{number} connection{'' if number == 1 else 's'}"
        if number:
            _log.warning("closing %s; press Ctrl+C again to exit immediately", connections)
        await super().shutdown(sockets)
        _log.warning("closed %s", connections)

    def stop(self) -> None:
        """Close every connection with 1001 and exit once each `$disconnect` is delivered.

        The second call exits immediately.
        """
        if self.should_exit:
            self.force_exit = True
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: uvicorn would raise the signals again and exit with an error."""
        yield


def configuration(application: Any, max_connections: int) -> uvicorn.Config:
    """Return the uvicorn configuration for an ASGI application."""
    return uvicorn.Config(
        application,
        http=HttpSocket,
        ws=ClientSocket,
        loop="uvloop",
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
        # At this number uvicorn would answer 503; HttpSocket drops the socket one earlier.
        limit_concurrency=max_connections + OTHER_SOCKETS + 1,
        timeout_graceful_shutdown=STOP_TIMEOUT,
    )
