"""WebSocket clients of a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

from accept.errors import FailedError
from accept.polling import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from websockets.asyncio.client import ClientConnection

_RESET = struct.pack("ii", 1, 0)
_MAX_MESSAGE = 1 << 20


class Client:
    """A connected client, with the notifications and goodbyes that it has received so far.

    `opened_ms` is when its handshake began, in epoch ms.
    """

    def __init__(
        self, connection: ClientConnection, client_id: str, agent: str, opened_ms: int
    ) -> None:
        self.connection = connection
        self.client_id = client_id
        self.agent = agent
        self.opened_ms = opened_ms
        self.notifications: list[Any] = []
        self.goodbyes: list[Any] = []

    @staticmethod
    async def open(
        url: str,
        client_id: str,
        agent: str,
        seconds: float,
        *,
        origin: str | None = None,
        token: str | None = None,
    ) -> Client | int:
        """Open a client, or return the status that refused its handshake.

        Raise `FailedError` if the server did not answer as one that speaks WebSocket.
        """
        opened_ms = now_ms()
        query = {} if token else {"clientId": client_id}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection = await connect(
                f"{url}?{urlencode(query)}",
                user_agent_header=agent,
                additional_headers=headers,
                origin=origin,  # type: ignore[arg-type] # a NewType of str
                compression=None,
                ping_interval=None,
                open_timeout=seconds,
                max_size=_MAX_MESSAGE,
                proxy=None,
                process_exception=lambda error: error,
            )
        except InvalidStatus as error:
            return error.response.status_code
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise FailedError("an answer to the handshake", repr(error), url) from error
        return Client(connection, client_id, agent, opened_ms)

    async def answer(self, message: str | Iterable[str], seconds: float) -> Any:
        """Send a message and return the answer, or None if none comes in time.

        A message in several parts is sent as that many frames. Notifications and goodbyes that
        arrive before the answer are kept. Raise `ConnectionClosed` if the server closes the
        connection.
        """
        await self.connection.send(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    received = await self._next()
                    if received is not None:
                        return received
        return None

    async def notification(self, notification_id: str, seconds: float) -> Any:
        """Return the notification with this id, or None if it does not come in time."""
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(seconds):
                while not any(each.get("id") == notification_id for each in self.notifications):
                    await self._next()
        return next((each for each in self.notifications if each["id"] == notification_id), None)

    async def _next(self) -> Any:
        received = json.loads(await self.connection.recv())
        kind = received.get("type") if isinstance(received, dict) else None
        if kind == "notification":
            self.notifications.append(received)
        elif kind == "goodbye":
            self.goodbyes.append(received)
        else:
            return received
        return None

    async def closed(self, seconds: float) -> int | None:
        """Return the close code that the server sent, or None if it has not closed in time."""
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(seconds):
                while True:
                    await self._next()
        received = self.connection.protocol.close_rcvd
        return received.code if received else self.connection.close_code

    @property
    def is_open(self) -> bool:
        """Return whether neither side has closed the connection."""
        return self.connection.state is State.OPEN

    async def close(self) -> None:
        """Close the connection with 1000."""
        await self.connection.close()

    async def reset(self) -> None:
        """Reset the TCP connection, as a client that crashes does: no close frame is sent."""
        raw = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.transport.abort()
        await self.connection.wait_closed()
