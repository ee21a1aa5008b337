"""A WebSocket as the client needs it, on the package `websockets`."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed

from .errors import ConnectionEndedError

CLOSE_S = 5.0  # for the close handshake


class Socket(Protocol):
    """An open WebSocket. Its methods raise `ConnectionEndedError` once it is closed."""

    async def send(self, text: str) -> None:
        """Send a message."""

    async def receive(self) -> str | bytes:
        """Return the next message."""

    async def close(self) -> None:
        """Close with code 1000, and wait a moment for the server's close frame."""

    def abort(self) -> None:
        """Drop the connection without a word: its network may be gone."""


Connect: TypeAlias = Callable[[str, str | None], Awaitable[Socket]]


class WebSocket:
    """An open WebSocket of the package `websockets`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Send a message."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise ConnectionEndedError(str(error)) from error

    async def receive(self) -> str | bytes:
        """Return the next message."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise ConnectionEndedError(str(error)) from error

    async def close(self) -> None:
        """Close with code 1000, and wait a moment for the server's close frame."""
        await self._connection.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._connection.transport.abort()


async def connect(url: str, token: str | None) -> Socket:
    """Open a WebSocket. The caller limits the time."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection = await websockets_connect(
        url,
        additional_headers=headers,
        compression=None,  # API Gateway has none
        open_timeout=None,
        ping_interval=None,  # the client's own pings reach the application
        close_timeout=CLOSE_S,
    )
    return WebSocket(connection)
