"""A server in memory, played by a test, for the clients of the Python library."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from incident_websocket.errors import ConnectionEndedError


class Peer:
    """The server's end of a connection. The client uses it as its socket.

    `closed` is None, "close" or "abort", as the client ended it.
    """

    def __init__(self) -> None:
        self.closed: str | None = None
        self._requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()

    async def request(self) -> dict[str, Any]:
        """Wait for the client's next request."""
        return await self._requests.get()

    async def heard(self, action: str) -> dict[str, Any]:
        """Wait for the client's next request and check its action."""
        request = await self.request()
        assert request["action"] == action, request
        return request

    async def heard_next(self, action: str) -> dict[str, Any]:
        """Answer pings until another request comes, and check its action."""
        while (request := await self.request())["action"] == "ping":
            self.say(type="pong", at=1, n=request["n"])
        assert request["action"] == action, request
        return request

    def nothing_heard(self) -> bool:
        """Return whether the client has sent nothing else."""
        return self._requests.empty()

    def say(self, **message: Any) -> None:
        """Send the client a message."""
        self._messages.put_nowait(json.dumps(message))

    def say_text(self, text: str) -> None:
        """Send the client any text."""
        self._messages.put_nowait(text)

    def end(self) -> None:
        """Close the connection."""
        self._messages.put_nowait(None)

    async def send(self, text: str) -> None:
        if self.closed:
            raise ConnectionEndedError("closed")
        self._requests.put_nowait(json.loads(text))

    async def receive(self) -> str:
        message = await self._messages.get()
        if message is None:
            self.closed = self.closed or "server"
            raise ConnectionEndedError("closed")
        return message

    async def close(self) -> None:
        self.closed = self.closed or "close"
        self._messages.put_nowait(None)

    def abort(self) -> None:
        self.closed = self.closed or "abort"


@dataclass
class Attempt:
    """An attempt to connect, at a loop time. A test accepts it, refuses it, or lets it hang."""

    at: float
    url: str
    token: str | None
    outcome: asyncio.Future[Peer] = field(default_factory=asyncio.Future)

    def accept(self) -> Peer:
        """Open the connection."""
        peer = Peer()
        self.outcome.set_result(peer)
        return peer

    def refuse(self) -> None:
        """Refuse the handshake."""
        self.outcome.set_exception(OSError("refused"))


class ScriptedServer:
    """Hears of the client's attempts."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._new: asyncio.Queue[Attempt] = asyncio.Queue()

    async def connect(self, url: str, token: str | None) -> Peer:
        """Stand in for the client's own `connect`."""
        attempt = Attempt(asyncio.get_running_loop().time(), url, token)
        self.attempts.append(attempt)
        self._new.put_nowait(attempt)
        return await attempt.outcome

    async def attempt(self) -> Attempt:
        """Wait for the client's next attempt."""
        return await self._new.get()

    async def accept(self) -> Peer:
        """Wait for the client's next attempt and accept it."""
        return (await self.attempt()).accept()
