"""The sweep: removes the rows of connections that died without a `$disconnect`."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from chalicelib import announcements, metrics, sdk, settings
from chalicelib.closing import Outcome, by_endpoint, remove_orphan
from chalicelib.connection import GRACE_S, over_limit
from chalicelib.errors import RegistryError, StoreError
from chalicelib.limits import replace_oldest
from chalicelib.logs import invocation_log, set_level
from chalicelib.management import Call, Management
from chalicelib.metrics import Metric
from chalicelib.store import Position, open_store
from chalicelib.verdicts import DEAD, Tally, Verdict, judge, judge_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.causes import Ending
    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.management import Endpoint, Reply
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore, Page

    Verdicts = dict[Connection, Verdict | None]

PROBES_A_SECOND = 500
REMOVALS_AT_ONCE = 8
# What is left of the invocation for the announcements, the position and the last log line.
RESERVE_S = 6.0
# What is left before that for removing what the last probes have shown to be dead.
REMOVAL_S = 3.0


@dataclass
class Sweep:
    """One run over the table.

    `deadline` is in s of `time.monotonic`: no row is removed after it, and no probe is waited
    for when less than `REMOVAL_S` is left. In a table of verdicts, None is a connection that
    the time did not suffice for.
    """

    store: ConnectionStore
    config: Settings
    log: Log
    now_ms: int
    deadline: float
    dry_run: bool = False
    probes_a_second: float | None = PROBES_A_SECOND
    tally: Tally = field(default_factory=Tally)

    def run(self) -> dict[str, Any]:
        """Sweep from where the last run stopped, and give the report.

        The first connection that is not reached is the first of the next run. How far this one
        came is written down also when DynamoDB fails on the way.
        """
        saved = self.store.position()
        if saved and saved.start is not None:
            position = saved
        else:
            position = Position(None, self.now_ms, saved.since_ms if saved else 0)
        finished = False
        try:
            for page in self.store.pages(position.start):
                reached = self._sweep_page(page, position.previous_ms)
                if reached:
                    position = replace(position, start=reached[-1].connection_id)
                if len(reached) < len(page.connections):
                    break
            else:
                finished = True
        finally:
            position = replace(position, live=position.live + self.tally.live)
            self._save(position, finished)
        return self._report(position, finished)

    def _save(self, position: Position, finished: bool) -> None:
        if finished:
            position = replace(position, start=None)
        if not self.dry_run and (finished or position.start is not None):
            self.store.save_position(position)

    def _sweep_page(self, page: Page, previous_ms: int) -> list[Connection]:
        """Judge, probe and remove; give the connections up to the first that was not reached."""
        if page.malformed:
            self.tally.malformed += len(page.malformed)
            self.log.warning("malformed rows", malformedIds=page.malformed)
        verdicts = self._verdicts(page.connections)
        self._remove(verdicts)
        reached = list(itertools.takewhile(lambda c: verdicts[c] is not None, page.connections))
        reached = self._enforce_limit(reached, previous_ms)
        self.tally.verdicts.update(filter(None, map(verdicts.get, reached)))
        return reached

    def _verdicts(self, connections: Iterable[Connection]) -> Verdicts:
        """Judge by age, then by a look at the connection."""
        verdicts = {connection: judge(connection, self.now_ms) for connection in connections}
        if time.monotonic() >= self.deadline:
            return dict.fromkeys(verdicts)
        unknown = [connection for connection, verdict in verdicts.items() if verdict is None]
        verdicts |= dict.fromkeys(unknown, Verdict.UNPROVEN)
        for endpoint, group in by_endpoint(unknown, self.config.management_endpoint).items():
            verdicts |= self._probe(endpoint, group)
        return verdicts

    def _probe(self, endpoint: Endpoint, connections: Iterable[Connection]) -> Verdicts:
        verdicts: Verdicts = dict.fromkeys(connections)
        probed = {connection.connection_id: connection for connection in verdicts}

        def on_reply(call: Call, reply: Reply) -> None:
            self.tally.probed += 1
            verdicts[probed[call.connection_id]] = judge_reply(reply.status)

        Management(endpoint, sdk.credentials()).carry_out(
            (Call("GET", connection_id) for connection_id in probed),
            on_reply,
            self.deadline - REMOVAL_S,
            rate=self.probes_a_second,
        )
        return verdicts

    def _remove(self, verdicts: Verdicts) -> None:
        """Remove the rows of the dead, unless they changed since they were judged."""
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
        announcements.announce(endings, self.config, self.log)

    def _remove_one(self, connection: Connection) -> list[Ending] | None:
        if time.monotonic() >= self.deadline:
            return None
        return remove_orphan(connection, self.now_ms, self.store, self.config.stage, self.log)

    def _enforce_limit(self, reached: list[Connection], previous_ms: int) -> list[Connection]:
        """Put right what raced; give the connections up to the first that was not reached.

        A client can only be over its limit if it has connected since the last complete pass, or
        if a connection could not be closed then. Costs one Query for each, when there is a limit.
        """
        limit = self.config.max_connections_per_client
        if limit is None:
            return reached
        since_ms = previous_ms - GRACE_S * 1000  # the index follows the table with a delay
        seen = set()
        for number, connection in enumerate(reached):
            client_id = connection.known_client_id
            is_recent = connection.created_at >= since_ms or connection.closing
            if client_id and is_recent and client_id not in seen:
                seen.add(client_id)
                if not self._enforce_limit_of(client_id, limit):
                    return reached[:number]
        return reached

    def _enforce_limit_of(self, client_id: str, limit: int) -> bool:
        """Close the oldest of a client's connections that are not dead; False if time is short."""
        if time.monotonic() >= self.deadline:
            return False
        try:
            theirs = list(self.store.of_client(client_id, self.now_ms))
        except StoreError as error:
            self.log.error("limit not enforced", error=str(error), clientId=client_id)
            return True
        if not over_limit(theirs, limit):
            return True
        verdicts = self._verdicts(theirs)
        if None in verdicts.values():
            return False
        alive = [connection for connection, verdict in verdicts.items() if verdict not in DEAD]
        if self.dry_run:
            self.tally.replaced += len(over_limit(alive, limit))
        else:
            outcomes = replace_oldest(
                alive, limit, self.store, self.config, self.log, self.deadline
            )
            self.tally.replaced += list(outcomes.values()).count(Outcome.CLOSED)
        return True

    def _report(self, position: Position, finished: bool) -> dict[str, Any]:
        tally = self.tally
        seen_ms = position.since_ms if finished else position.previous_ms or position.since_ms
        lag_s = (time.time_ns() // 1_000_000 - seen_ms) / 1000
        report = {
            "finished": finished,
            "dryRun": self.dry_run,
            "live": position.live,
            "probed": tally.probed,
            "removed": {verdict.value: tally.removed[verdict] for verdict in DEAD},
            "skipped": tally.verdicts[Verdict.UNPROVEN] + tally.malformed,
            "replaced": tally.replaced,
            "missedDisconnectShare": tally.missed_share,
            "lagSeconds": lag_s,
        }
        values: dict[Metric, float] = {
            Metric.ORPHANS_REMOVED: tally.removed.total(),
            Metric.MISSED_DISCONNECT_SHARE: 100 * tally.missed_share,
            Metric.SWEEP_LAG: lag_s,
        }
        if finished:
            values[Metric.LIVE_CONNECTIONS] = position.live
        counted = {} if self.dry_run else metrics.fields(self.config.stage, values)
        self.log.info("swept", **report, **counted)
        return report


def sweep(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer an invocation of the function `sweep`, by its schedule or by hand.

    `{"dryRun": true}` logs and counts what would be removed and closed, and changes nothing. A
    failure is logged and raised, so that the function's error metric shows it.
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
