"""The sweep: removes the rows of connections that died without a `$disconnect`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib import announcements, metrics, sdk, settings
from chalicelib.closing import by_endpoint, remove_orphan
from chalicelib.connection import GRACE_S, oldest_possible_ms, over_limit
from chalicelib.errors import RegistryError
from chalicelib.limits import replace_oldest
from chalicelib.logs import invocation_log, set_level
from chalicelib.management import Call, Management
from chalicelib.metrics import Metric
from chalicelib.store import Position, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.causes import Ending
    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.management import Reply
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore, Page

PROBES_A_SECOND = 500
REMOVALS_AT_ONCE = 8
# What is left of the invocation for saving the position and the last log lines.
RESERVE_S = 5.0
# A client that went over its limit since the last sweep or two has opened a connection since.
NEW_MS = 15 * 60 * 1000


class Verdict(StrEnum):
    """What is known of the connection of a row."""

    TOO_OLD = "too old"
    GONE = "gone"
    YOUNG = "young"
    LIVE = "live"
    UNPROVEN = "unproven"


DEAD = (Verdict.TOO_OLD, Verdict.GONE)


def judge(connection: Connection, now_ms: int) -> Verdict | None:
    """Judge by age alone; None means that the connection has to be probed."""
    if connection.created_at <= oldest_possible_ms(now_ms):
        return Verdict.TOO_OLD
    return Verdict.YOUNG if connection.age_s(now_ms) < GRACE_S else None


def judge_reply(status: int | None) -> Verdict:
    """Judge by what `GET @connections` says of a connection that is past the grace.

    Only "gone" is proof of death: throttling, a denial, a failure or silence prove nothing.
    """
    if status == 410:
        return Verdict.GONE
    return Verdict.LIVE if status == 200 else Verdict.UNPROVEN


@dataclass
class Tally:
    """What one sweep has done so far."""

    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    probed: int = 0
    removed: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(DEAD, 0))
    malformed: int = 0
    replaced: int = 0

    @property
    def live(self) -> int:
        """The connections that are alive for all that is known."""
        return sum(count for verdict, count in self.verdicts.items() if verdict not in DEAD)

    @property
    def missed_share(self) -> float:
        """The share of rows whose connection had died without a `$disconnect`, 0 to 1."""
        dead = sum(self.verdicts[verdict] for verdict in DEAD)
        return dead / (dead + self.live) if dead else 0.0


@dataclass
class Sweep:
    """One run over the table, up to `deadline` in s of `time.monotonic`."""

    store: ConnectionStore
    config: Settings
    log: Log
    now_ms: int
    deadline: float
    dry_run: bool = False
    tally: Tally = field(default_factory=Tally)

    def run(self) -> dict[str, Any]:
        """Sweep from where the last run stopped, and give the report.

        A page that is not swept to its end is the first of the next run.
        """
        earlier = self.store.position()
        since_ms = earlier.since_ms if earlier else self.now_ms
        unfinished = None
        for page in self.store.pages(earlier.start if earlier else None):
            if time.monotonic() >= self.deadline or not self._sweep_page(page):
                unfinished = Position(page.start, since_ms)
                break
        if not self.dry_run and (earlier or unfinished):
            self.store.save_position(unfinished)
        return self._report(unfinished is None, (self.now_ms - since_ms) / 1000)

    def _sweep_page(self, page: Page) -> bool:
        """Judge, probe and remove; tell whether every row was reached."""
        self.tally.malformed += len(page.malformed)
        verdicts = {connection: judge(connection, self.now_ms) for connection in page.connections}
        reached = self._probe(verdicts)
        for verdict in verdicts.values():
            self.tally.verdicts[verdict or Verdict.UNPROVEN] += 1
        self._remove([(c, v) for c, v in verdicts.items() if v in DEAD])
        self._enforce_limit(page.connections)
        return reached

    def _probe(self, verdicts: dict[Connection, Verdict | None]) -> bool:
        """Fill in the verdicts that take a look at the connection."""
        unknown = [connection for connection, verdict in verdicts.items() if verdict is None]
        reached = True
        for endpoint, group in by_endpoint(unknown, self.config.management_endpoint).items():
            probed = {connection.connection_id: connection for connection in group}

            def on_reply(
                call: Call, reply: Reply, probed: Mapping[str, Connection] = probed
            ) -> None:
                self.tally.probed += 1
                verdicts[probed[call.connection_id]] = judge_reply(reply.status)

            calls = [Call("GET", connection_id) for connection_id in probed]
            management = Management(endpoint, sdk.credentials())
            left = management.carry_out(calls, on_reply, self.deadline, rate=PROBES_A_SECOND)
            reached = reached and next(iter(left), None) is None
        return reached

    def _remove(self, dead: list[tuple[Connection, Verdict]]) -> None:
        """Remove the rows of dead connections, unless they changed since they were judged."""
        if self.dry_run:
            for _, verdict in dead:
                self.tally.removed[verdict] += 1
            return
        endings: list[Ending] = []
        with ThreadPoolExecutor(REMOVALS_AT_ONCE) as pool:
            removed = pool.map(self._remove_one, (connection for connection, _ in dead))
            for (_, verdict), ending in zip(dead, removed, strict=True):
                self.tally.removed[verdict] += len(ending)
                endings += ending
        announcements.announce(endings, self.config, self.log)

    def _remove_one(self, connection: Connection) -> list[Ending]:
        return remove_orphan(connection, self.now_ms, self.store, self.config.stage, self.log)

    def _enforce_limit(self, connections: Iterable[Connection]) -> None:
        """Put right what raced: only a client that has connected lately can be over its limit."""
        limit = self.config.max_connections_per_client
        if limit is None:
            return
        recent = (c.known_client_id for c in connections if c.created_at > self.now_ms - NEW_MS)
        for client_id in {client_id for client_id in recent if client_id}:
            theirs = list(self.store.of_client(client_id, self.now_ms))
            self.tally.replaced += len(over_limit(theirs, limit))
            if not self.dry_run:
                replace_oldest(theirs, limit, self.store, self.config, self.log, self.deadline)

    def _report(self, finished: bool, lag_s: float) -> dict[str, Any]:
        tally = self.tally
        report = {
            "finished": finished,
            "dryRun": self.dry_run,
            "live": tally.live,
            "probed": tally.probed,
            "removed": {verdict.value: count for verdict, count in tally.removed.items()},
            "skipped": tally.verdicts[Verdict.UNPROVEN] + tally.malformed,
            "replaced": tally.replaced,
            "missedDisconnectShare": tally.missed_share,
            "lagSeconds": lag_s,
        }
        values: dict[Metric, float] = {
            Metric.ORPHANS_REMOVED: sum(tally.removed.values()),
            Metric.MISSED_DISCONNECT_SHARE: 100 * tally.missed_share,
            Metric.SWEEP_LAG: lag_s,
        }
        if finished:
            values[Metric.LIVE_CONNECTIONS] = tally.live
        counted = {} if self.dry_run else metrics.fields(self.config.stage, values)
        self.log.info("swept", **report, **counted)
        return report


def sweep(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer an invocation of the function `sweep`, by its schedule or by hand.

    `{"dryRun": true}` reports what would be removed and closed, and changes nothing. A failure
    is logged and raised, so that the function's error metric shows it.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
        run = Sweep(
            store=open_store(config.connections_table),
            config=config,
            log=log,
            now_ms=time.time_ns() // 1_000_000,
            deadline=time.monotonic() + seconds,
            dry_run=event.get("dryRun") is True,
        )
        return run.run()
    except RegistryError as error:
        log.error("sweep failed", error=str(error), errorType=type(error).__name__)
        raise
