"""The client, as an application uses it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from . import credentials, transport
from .connection import Connection
from .position import Position, is_number, parse_position
from .protocol import Gap, Goodbye, Notification
from .session import RENEWAL_S, Options, Session
from .supervisor import News, State, Supervisor

HANDSHAKE_S = 10.0
MOST_LAST = 50
LOG = logging.getLogger("incident_websocket")


class IncidentClient:
    """A reader of notifications.

        async with IncidentClient("wss://…/prod", token=get_token, position=saved) as client:
            async for item in client:
                ...

    Each item is a `Notification` or a `Gap`. An item is finished when the loop asks for the next
    one; `position` is plain data to be saved, and says what is finished. The loop ends when the
    client is closed, or after a goodbye that forbids to return.

    `on_state`, `on_goodbye` and `on_error` may be set to functions.
    """

    on_state: Callable[[State], object] | None = None
    on_goodbye: Callable[[Goodbye], object] | None = None
    on_error: Callable[[Exception], object] | None = None

    def __init__(
        self,
        address: str,
        *,
        token: credentials.GetToken | None = None,
        client_id: str | None = None,
        position: Position | None = None,
        last: int = 0,
        order: bool = True,
        keep_alive_seconds: float | None = None,
        spread_seconds: float | None = None,
        renewal_seconds: tuple[float, float] = RENEWAL_S,
        connect: transport.Connect = transport.connect,
        **for_tests: Any,
    ) -> None:
        """Prepare a client; `async with` starts it.

        `token` is awaited before every attempt. Without a `position`, `last` is the number of past
        notifications to begin with. With `order` false, notifications are given as they come.
        `keep_alive_seconds` and `spread_seconds` replace the server's advice. A connection is
        replaced at an age within `renewal_seconds`, the same for all of a named client.

        Raise `ValueError` if an argument is invalid.
        """
        if urlsplit(address).scheme not in {"ws", "wss"}:
            raise ValueError(f"the address is {address!r}; expected wss://host/stage")
        if not (is_number(last) and last <= MOST_LAST):
            raise ValueError(f"last is {last}; expected an integer from 0 to {MOST_LAST}")
        query = "" if client_id is None else f"?clientId={quote(client_id, safe='')}"
        self._url, self._token, self._dial = address + query, token, connect
        self._session = Session(
            None if position is None else parse_position(position),
            Options(last, order, keep_alive_seconds, spread_seconds, renewal_seconds, **for_tests),
        )
        self._supervisor = Supervisor(self._session, self._connect, self._tell)
        self._running: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """What the client is doing."""
        return self._supervisor.state

    @property
    def position(self) -> Position:
        """What the consumer has finished: a copy, which stays as it is."""
        return deepcopy(self._session.inbox.position)

    @property
    def client_id(self) -> str | None:
        """The client's name, as the server knows it; None if it is anonymous or not known yet."""
        return self._session.client_id

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._running = asyncio.create_task(self._supervisor.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    def __aiter__(self) -> AsyncIterator[Notification | Gap]:
        """Return the client."""
        return self

    async def __anext__(self) -> Notification | Gap:
        """Return the next item. The one before it is finished."""
        try:
            return await self._session.inbox.next()
        except StopAsyncIteration:
            if self._running is not None and self._running.done() and not self._running.cancelled():
                self._running.result()  # raises what went wrong in the client itself
            raise

    async def close(self) -> None:
        """Close with code 1000 and end the loop."""
        self._session.inbox.end(discard=True)
        await self._supervisor.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _connect(self) -> Connection:
        token = None if self._token is None else await credentials.ask(self._token)
        async with asyncio.timeout(HANDSHAKE_S):
            socket = await self._dial(self._url, token)
        return Connection(socket, self._session, self._tell, token, self._token)

    def _tell(self, news: News) -> None:
        match news:
            case Goodbye():
                call(self.on_goodbye, news)
            case Exception():
                call(self.on_error, news)
            case _:
                call(self.on_state, news)


def call(listener: Callable[[Any], object] | None, news: object) -> None:
    """Call a listener; its own error must not end the client."""
    if listener is None:
        LOG.debug("%s", news)
        return
    try:
        listener(news)
    except Exception:
        LOG.exception("a listener of the client failed")
