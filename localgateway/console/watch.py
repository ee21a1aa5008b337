"""Reads the connections table while somebody watches, and compares it with the sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localgateway.console.comparison import Comparison, Reading, connections_table
from localgateway.console.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from localgateway.console.agent_process import AgentProcess
    from localgateway.observer.observer import Observer

# In seconds: between readings at least, as a multiple of what one takes, and without events.
_PAUSE = 0.4
_SHARE = 4
_LONG_PAUSE = 2.0
_LONGEST_PAUSE = 5.0
_STEP = 0.1


@dataclass
class Table:
    """How many rows are not of connections, and why the last reading failed, if it did."""

    others: int = 0
    error: str | None = None


class Watcher:
    """One page that watches, and what it has not been sent yet."""

    def __init__(self, ids: set[str]) -> None:
        self.changed = ids


class Watch:
    """Keeps a comparison up to date for its watchers; reads nothing when there are none."""

    def __init__(self, observer: Observer, agent: AgentProcess, tables: Sequence[str]) -> None:
        self.comparison = Comparison(observer.sockets)
        self.table = Table()
        self._observer = observer
        self._agent = agent
        self._tables = tables
        self._watchers: set[Watcher] = set()
        self._batches: list[Mapping[str, Any]] = []
        self._running: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watcher(self) -> Iterator[Watcher]:
        """Watch within the block; the watcher has every connection at first."""
        self._compare(self.comparison.everything())
        watcher = Watcher(self.comparison.everything())
        self._watchers.add(watcher)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def stop(self) -> None:
        """Stop reading."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def hear(self, rows: Mapping[str, Any]) -> None:
        """Take a batch of changes of the reading that runs."""
        self._batches.append(rows)

    def restart(self) -> None:
        """Forget the reading: the next agent reads the table from its beginning."""
        self.comparison.table, self.comparison.reading = None, Reading()
        self._compare(self.comparison.everything())

    def refresh(self) -> None:
        """Compare the connections whose sockets have changed."""
        sockets = self._observer.sockets
        changed, sockets.changed = sockets.changed, set()
        self._compare(changed)
        for watcher in self._watchers:
            watcher.changed |= changed

    def _compare(self, ids: set[str]) -> None:
        changed = self.comparison.update(ids, time.time())
        for watcher in self._watchers:
            watcher.changed |= changed

    async def _run(self) -> None:
        try:
            while self._watchers:
                seen = self._observer.last
                took = await self._read_safely()
                await asyncio.sleep(min(max(_PAUSE, _SHARE * took), _LONGEST_PAUSE))
                quiet = time.monotonic() + _LONG_PAUSE
                while seen == self._observer.last and time.monotonic() < quiet:
                    await asyncio.sleep(_STEP)
        finally:
            self._running = None

    async def _read_safely(self) -> float:
        self._batches, took = [], 0.0
        try:
            if self.comparison.table is None:
                await self._find_table()
            if self.comparison.table is not None:
                started = time.monotonic()
                self._batches.append(await self._agent.ask("read"))
                self._apply()
                took = time.monotonic() - started
            self.table.error = None
        except ActionError as error:
            self.table.error = str(error)
        return took

    async def _find_table(self) -> None:
        found = connections_table(await self._agent.ask("tables", names=list(self._tables)))
        if found is not None:
            await self._agent.ask("watch", table=found.name, key=found.key)
            self.comparison.table = found

    def _apply(self) -> None:
        reading = Reading(dict(self.comparison.reading.rows))
        ids = set()
        for batch in self._batches:
            reading.rows.update(batch.get("changed", {}))
            ids |= set(batch.get("changed", {}))
            for name in batch.get("removed", ()):
                reading.rows.pop(name, None)
                ids.add(name)
        last = self._batches[-1]
        reading.began, self.table.others = last["began"], last["others"]
        self.comparison.reading = reading
        self._compare(self.comparison.everything())
        for watcher in self._watchers:
            watcher.changed |= ids
