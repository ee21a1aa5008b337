"""Keeps one connection open: it comes back after every end, and replaces connections in time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeAlias

from .backoff import Backoff
from .connection import Connection
from .errors import AttemptError
from .protocol import Goodbye
from .session import Session

State: TypeAlias = Literal[
    "idle", "connecting", "recovering", "live", "renewing", "waiting", "closed"
]
TICK_S = 15.0
LATE_S = 30.0  # a clock that jumps this far means that the machine has slept
News: TypeAlias = State | Goodbye | Exception


class Supervisor:
    """Runs the connections of a session. `connect` opens one, or raises whatever goes wrong.

    `tell` is called with each new state, goodbye and error.
    """

    def __init__(
        self,
        session: Session,
        connect: Callable[[], Awaitable[Connection]],
        tell: Callable[[News], object],
    ) -> None:
        self.state: State = "idle"
        self._session, self._connect, self._tell = session, connect, tell
        self._random = session.options.random
        self._backoff = Backoff(self._random)
        self._open: set[Connection] = set()
        self._awake = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Stay connected until a goodbye without a return, or `close`."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch_clock())
                await self._stay_connected(group)
                watching.cancel()
        finally:
            self._session.inbox.end(discard=False)
            self._enter("closed")

    async def close(self) -> None:
        """Close all connections with code 1000. `run` may be cancelled afterwards."""
        self._closing = True
        await asyncio.gather(*(connection.close() for connection in self._open))

    async def _stay_connected(self, group: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time
        while not self._closing:
            self._enter("connecting")
            connection = await self._attempt(group)
            if connection is None:
                await self._wait(self._backoff.failed(self._session.spread_s))
                continue
            self._enter("recovering")
            last = await self._serve(connection, group)
            goodbye = last.goodbye
            if goodbye is not None:
                self._tell(goodbye)
            if _is_final(last):
                return
            delay = self._backoff.ended(now() - last.opened_at, self._session.spread_s)
            await self._wait(delay, goodbye.after_seconds if goodbye else 0)

    async def _attempt(self, group: asyncio.TaskGroup) -> Connection | None:
        try:
            connection = await self._connect()
        except Exception as error:  # noqa: BLE001 - whatever `token` raises is a failed attempt
            failure = AttemptError(f"no connection: {error!r}")
            failure.__cause__ = error
            self._tell(failure)
            return None
        self._open.add(connection)
        task = group.create_task(connection.run())
        task.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _serve(self, current: Connection, group: asyncio.TaskGroup) -> Connection:
        """Serve until a connection has ended that was not replaced, and return it."""
        await _first(current.ended.wait(), current.caught_up.wait())
        retrying: float | None = None  # s, after a replacement that failed
        while not current.ended.is_set():
            self._enter("live")
            await self._until_due(current, retrying)
            if current.ended.is_set():
                break
            self._enter("renewing")
            successor = await self._attempt(group)
            if successor is not None:
                await _first(successor.ended.wait(), successor.caught_up.wait())
            if _is_replaced(current):
                current.goodbye = None  # it is we who replace it
            if successor is None or (successor.ended.is_set() and not _is_final(successor)):
                retrying = self._backoff.failed(self._session.spread_s)
            elif _is_final(current):
                await successor.close()
            else:
                await current.close()
                current, retrying = successor, None
        if retrying is not None and _is_replaced(current):
            current.goodbye = None  # the server may have accepted a replacement that failed here
        return current

    async def _until_due(self, connection: Connection, retrying: float | None) -> None:
        """Wait until a connection ends or should be replaced."""
        if retrying is not None:
            await _first(connection.ended.wait(), asyncio.sleep(retrying))
        else:
            age = asyncio.get_running_loop().time() - connection.opened_at
            left = asyncio.sleep(max(0, self._session.life_s() - age))
            await _first(connection.ended.wait(), connection.stale.wait(), left)

    async def _wait(self, delay: float, at_least: float = 0) -> None:
        """Wait before the next attempt. Waking up ends the delay, but not the minimum."""
        if self._closing:
            return
        self._enter("waiting")
        await asyncio.sleep(at_least)
        self._awake.clear()
        await _first(self._awake.wait(), asyncio.sleep(delay))

    async def _watch_clock(self) -> None:
        """Notice that the machine has slept: timers stood still and the network is another one."""
        now = self._session.options.now
        while True:
            before = now()
            await asyncio.sleep(TICK_S)
            if now() - before > TICK_S + LATE_S:
                self._awake.set()
                for connection in self._open:
                    connection.suspect()

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._tell(state)


def _is_final(connection: Connection) -> bool:
    return connection.goodbye is not None and not connection.goodbye.reconnect


def _is_replaced(connection: Connection) -> bool:
    return connection.goodbye is not None and connection.goodbye.reason == "replaced"


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several things, and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
