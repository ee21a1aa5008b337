"""One run of the sweep over the connections table, from where the last one stopped."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.domain.errors import StoreError
from chalicelib.domain.liveness import DEAD, Tally, Verdict
from chalicelib.domain.malformed_rows import disposable
from chalicelib.domain.sweep_position import Position
from chalicelib.services.due_closes import DueCloses
from chalicelib.services.endings import remove_orphans
from chalicelib.services.limits import PENDING_CLIENTS, SweepLimit
from chalicelib.services.silence import close_silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.domain.rows import Item
    from chalicelib.reader import Page
    from chalicelib.services.probing import Prober, Verdicts
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.sweep_progress import SweepProgress
    from chalicelib.telemetry.logs import Log

# Time kept for announcing the ends of the rows that were removed last.
ANNOUNCE_S = 4.0
# The longest time that a run keeps others out: Lambda's longest timeout.
LEASE_S = 900.0


@dataclass
class TablePass:
    """One run over the table until `deadline`, which leaves time to save the position.

    `progress` has a later deadline, for saving it. No row is removed after `deadline`. With
    `dry_run` nothing is changed.
    """

    store: ConnectionStore
    progress: SweepProgress
    config: Settings
    log: Log
    prober: Prober
    deadline: Deadline
    dry_run: bool = False
    tally: Tally = field(default_factory=Tally)
    finished: bool = False
    _out_of_time: bool = False

    def run(self) -> Position:
        """Examine the rows and return the position reached.

        The next run continues behind the last connection examined. The position is saved even
        when DynamoDB fails on the way. Each run examines at least one row, so that every row's
        turn comes.
        """
        position = self._start()
        limit = self._limit()
        try:
            if limit:
                limit.look_again(position.clients, self.deadline.within(self.deadline.left() / 2))
            for page in self._pages(position.start):
                examined = self._examine(page, limit, position.settled_ms)
                if examined:
                    position = replace(position, start=examined[-1].connection_id)
                if len(examined) < len(page.connections):
                    break
            else:
                self.finished = not self._out_of_time
        finally:
            position = replace(position, live=position.live + self.tally.live)
            position = self._with_pending(position, limit)
            self._save(position)
        return position

    def _pages(self, start: str | None) -> Iterator[Page]:
        """Yield the pages until there are no more or time is out."""
        try:
            yield from self.store.pages(start)
        except StoreError as error:
            if error.code != NOT_STARTED:
                raise
            self._out_of_time = True

    def _start(self) -> Position:
        now_ms = self.prober.now_ms
        until_ms = now_ms + round(1000 * min(self.progress.deadline.left(), LEASE_S))
        saved = self.progress.position() if self.dry_run else self.progress.begin(now_ms, until_ms)
        if saved and saved.start is not None:
            return saved
        if saved is None:
            return Position(None, now_ms)
        settled_ms = saved.since_ms if saved.is_settled else saved.settled_ms
        return Position(None, now_ms, saved.since_ms, 0, saved.clients, settled_ms)

    def _limit(self) -> SweepLimit | None:
        limit = self.config.max_connections_per_client
        if limit is None:
            return None
        return SweepLimit(limit, self.prober, self.store, self.config, self.log, self.dry_run)

    def _with_pending(self, position: Position, limit: SweepLimit | None) -> Position:
        """Return the position with the clients that the next run looks at again.

        With too many of them, or without a limit, the pass settles nothing: the next one looks at
        every client that has connected since the last one that did.
        """
        if limit is None:
            return replace(position, clients=(), is_settled=False)
        self.tally.replaced = limit.replaced
        if len(limit.pending) > PENDING_CLIENTS:
            self.log.warning("limit not enforced in this pass", clients=len(limit.pending))
            return replace(position, clients=(), is_settled=False)
        return replace(position, clients=tuple(limit.pending))

    def _save(self, position: Position) -> None:
        if self.finished:
            position = replace(position, start=None)
        if self.dry_run:
            return
        if not self.finished and position.start is None:
            self.progress.end()
            return
        try:
            self.progress.save(position)
        except StoreError:
            with contextlib.suppress(StoreError):  # the lease ends by its time at the latest
                self.progress.end()
            raise

    def _examine(self, page: Page, limit: SweepLimit | None, settled_ms: int) -> list[Connection]:
        """Judge, remove and close. Return the connections before the first not reached in time."""
        self._handle_malformed(page.malformed)
        verdicts = self.prober.verdicts(page.connections)
        self._remove(verdicts)
        examined = list(itertools.takewhile(lambda c: verdicts[c] is not None, page.connections))
        self.tally.verdicts.update(filter(None, map(verdicts.get, examined)))
        self._close_silent([each for each in examined if verdicts[each] is Verdict.SILENT])
        self._close([each for each in examined if verdicts[each] not in (*DEAD, Verdict.SILENT)])
        if limit:
            limit.enforce(examined, settled_ms)
        return examined

    def _handle_malformed(self, items: Sequence[Item]) -> None:
        """Report rows that are not connections, and remove those that have expired."""
        removed, left = [], []
        for item in items:
            connection_id = item["connectionId"]["S"]
            if not disposable(item, self.prober.now_ms):
                left.append(connection_id)
            elif self.dry_run or self._is_removed(item):
                removed.append(connection_id)
        self.tally.malformed += len(left)
        if removed:
            message = "would remove malformed rows" if self.dry_run else "removed malformed rows"
            self.log.warning(message, malformedIds=removed)
        if left:
            self.log.warning("malformed rows", malformedIds=left)

    def _is_removed(self, item: Item) -> bool:
        try:
            return self.store.remove_malformed(item)
        except StoreError as error:
            self.log.error("row not removed", error=str(error), orphanId=item["connectionId"]["S"])
            return False

    def _remove(self, verdicts: Verdicts) -> None:
        """Remove the rows of dead connections, unless they changed since they were judged."""
        dead = [connection for connection, verdict in verdicts.items() if verdict in DEAD]
        if self.dry_run:
            for connection in dead:
                verdict = verdicts[connection]
                self.log.info("would be removed", orphanId=connection.connection_id, why=verdict)
                self.tally.count_removed(verdict)
            return
        store = self.store.until(self.deadline.minus(ANNOUNCE_S))
        removals = remove_orphans(dead, store, self.config, self.log, self.deadline)
        by_id = {connection.connection_id: verdicts[connection] for connection in dead}
        for ending in removals.endings:
            self.tally.count_removed(by_id[ending.connection.connection_id])
        verdicts |= dict.fromkeys(removals.left)

    def _close_silent(self, silent: list[Connection]) -> None:
        if self.dry_run:
            for connection in silent:
                self.log.info("would be closed", silentId=connection.connection_id)
            self.tally.silent += len(silent)
            return
        self.tally.silent += close_silent(
            silent, self.prober, self.store, self.config, self.log, self.deadline
        )

    def _close(self, living: Sequence[Connection]) -> None:
        """Close what is due among the connections that are not dead."""
        due = DueCloses(self.prober.now_ms, self.store, self.config, self.log, self.deadline)
        expired = due.expired(living)
        if self.dry_run:
            for connection in expired:
                self.log.info("would be closed", expiredId=connection.connection_id)
            self.tally.expired += len(expired)
            return
        due.close_left(living)
        self.tally.expired += due.close_expired(expired)
