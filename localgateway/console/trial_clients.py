"""WebSocket clients that the console opens, to try an application out."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from localgateway.console.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

MAX_CLIENTS = 3000
_AT_ONCE = 16
_OPEN_TIMEOUT = 60.0
_TEXT = 4000
CARRIERS = ("query", "header", "subprotocol")


@dataclass(frozen=True)
class Wish:
    """How to open a client; each field but `carrier`, which is of the token, may be empty."""

    client_id: str = ""
    token: str = ""
    carrier: str = "query"
    subprotocols: tuple[str, ...] = ()
    origin: str = ""
    user_agent: str = ""
    query: str = ""

    def arguments(self, url: str) -> tuple[str, dict[str, Any]]:
        """Return the URL and the options of the handshake; raise `ActionError`."""
        if self.token and self.carrier not in CARRIERS:
            raise ActionError(f"carrier is {self.carrier!r}; expected one of {CARRIERS}")
        pairs = [("clientId", self.client_id)] * bool(self.client_id)
        names = list(self.subprotocols)
        headers = {}
        if self.token and self.carrier == "query":
            pairs.append(("token", self.token))
        elif self.token and self.carrier == "header":
            headers["Authorization"] = f"Bearer {self.token}"
        elif self.token:
            names += ["bearer", self.token]
        query = "&".join(part for part in (urlencode(pairs), self.query.lstrip("?")) if part)
        options: dict[str, Any] = {
            "additional_headers": headers,
            "subprotocols": names or None,
            "origin": self.origin or None,
        }
        if self.user_agent:
            options["user_agent_header"] = self.user_agent
        return url + (f"?{query}" if query else ""), options


class TrialClients:
    """The open clients by number; `tell` receives what happens to each."""

    def __init__(self, url: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._url = url
        self._tell = tell
        self._numbers = itertools.count(1)
        self._open: dict[int, ClientConnection] = {}
        self._listening: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def open(self, wish: Wish, count: int) -> dict[str, Any]:
        """Open clients and return how many opened, and why the first other did not.

        With several, a number is added to the client id.
        """
        if not 1 <= count <= MAX_CLIENTS - len(self._open):
            left = MAX_CLIENTS - len(self._open)
            raise ActionError(f"count is {count}; expected 1 to {left}, of {MAX_CLIENTS} in all")
        names = [
            f"{wish.client_id}-{number}" if wish.client_id and count > 1 else wish.client_id
            for number in range(1, count + 1)
        ]
        problems = await asyncio.gather(*(self._open_one(wish, name) for name in names))
        refused = [problem for problem in problems if problem]
        return {"opened": count - len(refused), "problem": refused[0] if refused else None}

    async def send(self, number: int, text: str) -> None:
        """Send a message; raise `ActionError` if the client is not open."""
        try:
            await self._client(number).send(text)
        except WebSocketException as error:
            raise ActionError(f"client {number} is closed: {error}") from error

    async def close(self, number: int | None) -> None:
        """Close one client with 1000, or all with None."""
        wanted = list(self._open) if number is None else [number]
        await asyncio.gather(*(self._client(each).close() for each in wanted))

    def _client(self, number: int) -> ClientConnection:
        try:
            return self._open[number]
        except KeyError:
            raise ActionError(f"client {number} is not open") from None

    async def _open_one(self, wish: Wish, client_id: str) -> str | None:
        number = next(self._numbers)
        url, options = Wish(**{**vars(wish), "client_id": client_id}).arguments(self._url)
        try:
            async with self._gate:
                client = await connect(
                    url,
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                    open_timeout=_OPEN_TIMEOUT,
                    max_size=None,
                    **options,
                )
        except InvalidStatus as error:
            body = (error.response.body or b"").decode(errors="replace")[:_TEXT]
            return f"refused with {error.response.status_code}: {body}"
        except (OSError, WebSocketException, ValueError) as error:
            return str(error) or type(error).__name__
        self._open[number] = client
        self._tell(
            {
                "client": number,
                "what": "opened",
                "clientId": client_id,
                "port": client.local_address[1],
            }
        )
        task = asyncio.create_task(self._listen(number, client))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return None

    async def _listen(self, number: int, client: ClientConnection) -> None:
        async for message in _messages(client):
            self._tell({"client": number, "what": "received", "text": message[:_TEXT]})
        del self._open[number]
        self._tell(
            {
                "client": number,
                "what": "closed",
                "code": client.close_code,
                "reason": client.close_reason,
            }
        )


async def _messages(client: ClientConnection) -> Any:
    try:
        async for message in client:
            yield message if isinstance(message, str) else message.decode(errors="replace")
    except WebSocketException:
        return
