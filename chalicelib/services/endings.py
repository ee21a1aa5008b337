"""Reports the end of a connection: one log line, one metric, one event on EventBridge.

A handler that removes a row reports the end. When DynamoDB's answer is lost, two may both report
it, with the same id.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters import eventbridge
from chalicelib.adapters.attempts import ATTEMPT_S, FOLLOWING_S
from chalicelib.clock import now_ms
from chalicelib.domain.close_causes import Cause, Ending
from chalicelib.domain.errors import RegistryError
from chalicelib.telemetry import metrics
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

DETAIL_TYPE = "Connection Closed"
REMOVALS_AT_ONCE = 8
# A removal without an answer, and the read that settles it.
REMOVAL_S = ATTEMPT_S + FOLLOWING_S


@dataclass(frozen=True)
class Removals:
    """The ends of the connections whose rows were removed, and those left for lack of time."""

    endings: tuple[Ending, ...]
    left: tuple[Connection, ...]


def tell(
    message: str,
    endings: Sequence[Ending],
    config: Settings,
    log: Log,
    deadline: Deadline,
    **fields: object,
) -> None:
    """Log and count each end, then publish the events if `EVENT_BUS` is set.

    A failure to publish is logged and counted, never raised: the rows are already deleted.
    """
    for ending in endings:
        log_end(message, ending, log, config.stage, **fields)
    announce(endings, config, log, deadline)


def log_end(message: str, ending: Ending, log: Log, stage: str, **fields: object) -> None:
    """Log and count one end."""
    values: dict[Metric, float] = {Metric.CLOSED: 1}
    if ending.duration_s is not None:
        values[Metric.DURATION] = ending.duration_s
    if ending.reason is not None:
        fields["closeReason"] = ending.reason
    log.info(
        message,
        clientId=ending.connection.client_id,
        code=ending.code,
        durationSeconds=ending.duration_s,
        **fields,
        **metrics.fields(stage, values, ending.cause.value),
    )


def announce(endings: Sequence[Ending], config: Settings, log: Log, deadline: Deadline) -> None:
    """Publish one event for each ending until `deadline`, if `EVENT_BUS` is set."""
    if not config.event_bus or not endings:
        return
    details = [ending.detail() for ending in endings]
    failures = eventbridge.put_events(config.event_bus, DETAIL_TYPE, details, deadline)
    if failures:
        values: dict[Metric, float] = {Metric.ANNOUNCEMENT_FAILURES: len(failures)}
        counted = metrics.fields(config.stage, values)
        log.error("event not published", failures=failures, **counted)


def remove_orphans(
    dead: Collection[Connection],
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: Deadline,
) -> Removals:
    """Remove the rows of dead connections, several at once, and tell each end.

    The rows are removed until the store's deadline, which has to leave time to announce the ends
    until `deadline`.
    """
    if not dead:
        return Removals((), ())
    left: list[Connection] = []

    def remove(connection: Connection) -> Ending | None:
        if not store.deadline.allows(REMOVAL_S):
            left.append(connection)
            return None
        return _remove_orphan(connection, store, config, log)

    with ThreadPoolExecutor(min(REMOVALS_AT_ONCE, len(dead))) as pool:
        endings = [ending for ending in pool.map(remove, dead) if ending]
    if left:
        log.warning("no time to remove rows; the sweep removes them", rows=len(left))
    announce(endings, config, log, deadline)
    return Removals(tuple(endings), tuple(left))


def _remove_orphan(
    connection: Connection, store: ConnectionStore, config: Settings, log: Log
) -> Ending | None:
    try:
        row = store.remove(connection)
    except RegistryError as error:
        log.error("row not removed", error=str(error), orphanId=connection.connection_id)
        return None
    if row is None:
        return None
    removed_ms = now_ms()
    duration_s = row.duration_s(removed_ms)
    ending = Ending(row, Cause.ORPHANED, None, removed_ms, duration_s, row.close_reason)
    log_end("orphan removed", ending, log, config.stage, orphanId=row.connection_id)
    return ending
