"""One run of the sweep over the connections table, from where the last one stopped."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.domain.liveness import DEAD, Tally
from chalicelib.services.endings import announce, remove_orphan
from chalicelib.services.limits import SweepLimit
from chalicelib.store import Position

if TYPE_CHECKING:
    from chalicelib.domain.close_causes import Ending
    from chalicelib.domain.connection import Connection
    from chalicelib.services.probing import Prober, Verdicts
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore, Page
    from chalicelib.telemetry.logs import Log

REMOVALS_AT_ONCE = 8


@dataclass
class TablePass:
    """One run over the table until `deadline` (s of `time.monotonic`).

    No row is removed after the deadline. With `dry_run` nothing is changed.
    """

    store: ConnectionStore
    config: Settings
    log: Log
    prober: Prober
    deadline: float
    dry_run: bool = False
    tally: Tally = field(default_factory=Tally)
    finished: bool = False

    def run(self) -> Position:
        """Examine the rows and return the position reached.

        The next run continues behind the last connection examined. The position is saved even
        when DynamoDB fails on the way.
        """
        position = self._start()
        try:
            for page in self.store.pages(position.start):
                examined = self._examine(page, position.previous_ms)
                if examined:
                    position = replace(position, start=examined[-1].connection_id)
                if len(examined) < len(page.connections):
                    break
            else:
                self.finished = True
        finally:
            position = replace(position, live=position.live + self.tally.live)
            self._save(position)
        return position

    def _start(self) -> Position:
        saved = self.store.position()
        if saved and saved.start is not None:
            return saved
        return Position(None, self.prober.now_ms, saved.since_ms if saved else 0)

    def _save(self, position: Position) -> None:
        if self.finished:
            position = replace(position, start=None)
        if not self.dry_run and (self.finished or position.start is not None):
            self.store.save_position(position)

    def _examine(self, page: Page, previous_ms: int) -> list[Connection]:
        """Judge and remove. Return the connections before the first not reached in time."""
        if page.malformed:
            self.tally.malformed += len(page.malformed)
            self.log.warning("malformed rows", malformedIds=page.malformed)
        verdicts = self.prober.verdicts(page.connections)
        self._remove(verdicts)
        examined = list(itertools.takewhile(lambda c: verdicts[c] is not None, page.connections))
        examined = self._enforce_limit(examined, previous_ms)
        self.tally.verdicts.update(filter(None, map(verdicts.get, examined)))
        return examined

    def _remove(self, verdicts: Verdicts) -> None:
        """Remove the rows of dead connections, unless they changed since they were judged."""
        dead = [(c, verdict) for c, verdict in verdicts.items() if verdict and verdict in DEAD]
        if self.dry_run:
            for connection, verdict in dead:
                self.log.info("would be removed", orphanId=connection.connection_id, why=verdict)
                self.tally.removed[verdict] += 1
            return
        endings: list[Ending] = []
        with ThreadPoolExecutor(REMOVALS_AT_ONCE) as pool:
            removed = pool.map(self._remove_one, (connection for connection, _ in dead))
            for (connection, verdict), ending in zip(dead, removed, strict=True):
                if ending is None:
                    verdicts[connection] = None
                else:
                    self.tally.removed[verdict] += len(ending)
                    endings += ending
        announce(endings, self.config, self.log)

    def _remove_one(self, connection: Connection) -> list[Ending] | None:
        if time.monotonic() >= self.deadline:
            return None
        now_ms = self.prober.now_ms
        return remove_orphan(connection, now_ms, self.store, self.config.stage, self.log)

    def _enforce_limit(self, examined: list[Connection], previous_ms: int) -> list[Connection]:
        limit = self.config.max_connections_per_client
        if limit is None:
            return examined
        enforcing = SweepLimit(
            limit,
            previous_ms,
            self.prober,
            self.store,
            self.config,
            self.log,
            self.deadline,
            self.dry_run,
        )
        examined = enforcing.enforce(examined)
        self.tally.replaced += enforcing.replaced
        return examined
