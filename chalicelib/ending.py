"""What happens when a connection has ended: its row goes, and everybody who asked is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import announcements, events, metrics, settings
from chalicelib.causes import Ending, cause_of
from chalicelib.errors import MalformedRowError, StoreError
from chalicelib.logs import invocation_log, set_level
from chalicelib.metrics import Metric
from chalicelib.store import open_store

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

    from chalicelib.connection import Connection
    from chalicelib.events import Ended
    from chalicelib.logs import Log


def forget(event: WebsocketEvent) -> Response:
    """Remove the row of a `$disconnect` event's connection, log and announce the end.

    Costs one DeleteItem. API Gateway ignores the answer; a row that could not be removed is
    left to the sweep and its time to live. Raises `RegistryError`.
    """
    log = invocation_log(event.context, connectionId=event.connection_id)
    ended = events.ended(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    store = open_store(config.connections_table)
    known = {"code": ended.code, "reason": ended.reason, "durationSeconds": ended.duration_s}
    try:
        row = store.delete(ended.connection_id)
    except MalformedRowError as error:
        log.warning("disconnected", cause=_cause(ended), error=str(error), **known)
    except StoreError as error:
        log.error("row not removed", cause=_cause(ended), error=str(error), **known)
        return Response("Internal server error", status_code=500)
    else:
        if row is None:
            log.info("already gone", cause=_cause(ended), **known)
        else:
            ending = ended_as_reported(row, ended, time.time_ns() // 1_000_000)
            log_ending("disconnected", ending, log, event.stage, reason=ended.reason)
            announcements.announce([ending], config, log)
    return Response("disconnected")


def _cause(ended: Ended) -> str:
    return cause_of(ended.code, ended.duration_s, None).value


def ended_as_reported(row: Connection, ended: Ended, now_ms: int) -> Ending:
    """Put together what API Gateway reports of an end and what the row knew."""
    duration_s = row.age_s(now_ms) if ended.duration_s is None else ended.duration_s
    cause = cause_of(ended.code, duration_s, row.closing)
    return Ending(row, cause, ended.code, now_ms, duration_s)


def log_ending(message: str, ending: Ending, log: Log, stage: str, **fields: object) -> None:
    """Log and count the end of a connection whose row was removed just now."""
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
