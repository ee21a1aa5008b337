"""Tells the end of a connection: one log line, one metric, one event on EventBridge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalicelib.adapters import eventbridge
from chalicelib.domain.close_causes import Cause, Ending
from chalicelib.domain.connection import GRACE_S
from chalicelib.domain.errors import RegistryError
from chalicelib.telemetry import metrics
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

DETAIL_TYPE = "Connection Closed"


def log_end(message: str, ending: Ending, log: Log, stage: str, **fields: object) -> None:
    """Log and count the end of a connection whose row was just removed."""
    counted = metrics.fields(
        stage, {Metric.CLOSED: 1, Metric.DURATION: ending.duration_s}, ending.cause.value
    )
    log.info(
        message,
        clientId=ending.connection.client_id,
        code=ending.code,
        durationSeconds=ending.duration_s,
        **fields,
        **counted,
    )


def announce(endings: Iterable[Ending], config: Settings, log: Log) -> None:
    """Publish one event for each ending, if `EVENT_BUS` is set.

    Failures are logged and counted, never raised: the row is already deleted.
    """
    if not config.event_bus:
        return
    details = [ending.detail() for ending in endings]
    failures = eventbridge.put_events(config.event_bus, DETAIL_TYPE, details)
    if failures:
        values: dict[Metric, float] = {Metric.ANNOUNCEMENT_FAILURES: len(failures)}
        counted = metrics.fields(config.stage, values)
        log.error("event not published", failures=failures, **counted)


def remove_orphans(
    gone: Iterable[Connection], store: ConnectionStore, config: Settings, log: Log
) -> None:
    """Remove the rows of connections that answered 410 and are past the grace period."""
    now_ms = time.time_ns() // 1_000_000
    endings = []
    for connection in gone:
        if connection.age_s(now_ms) >= GRACE_S:
            endings += remove_orphan(connection, now_ms, store, config.stage, log)
    announce(endings, config, log)


def remove_orphan(
    connection: Connection, now_ms: int, store: ConnectionStore, stage: str, log: Log
) -> list[Ending]:
    """Remove the row of a dead connection. Return its end if this call deleted the row.

    Only the caller that deletes a row tells its end, so that no end is told twice.
    """
    try:
        row = store.remove(connection)
    except RegistryError as error:
        log.error("row not removed", error=str(error), orphanId=connection.connection_id)
        return []
    if row is None:
        return []
    ending = Ending(row, Cause.ORPHANED, None, now_ms, row.age_s(now_ms))
    log_end("orphan removed", ending, log, stage, orphanId=row.connection_id)
    return [ending]
