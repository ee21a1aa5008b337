"""The function `disconnect`: removes the row of an ended connection and tells its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import settings
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain import events
from chalicelib.domain.close_causes import Ending, cause_of
from chalicelib.domain.connection import Connection
from chalicelib.domain.errors import MalformedRowError, StoreError
from chalicelib.services.endings import tell
from chalicelib.store import ConnectionStore
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

    from chalicelib.domain.events import Ended

# Time kept for the last log line.
RESERVE_S = 0.25


def disconnect(event: WebsocketEvent) -> Response:
    """Remove the row of a `$disconnect` event's connection, and log and announce its end.

    Costs one DeleteItem, and one GetItem when its answer was lost. API Gateway ignores the
    answer. If the row could not be removed, the sweep removes it later. Raises `RegistryError`.
    """
    deadline = Deadline.of(event.context).minus(RESERVE_S)
    log = invocation_log(event.context, connectionId=event.connection_id)
    ended = events.ended(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    store = ConnectionStore.open(config.connections_table, deadline)
    known = {"code": ended.code, "reason": ended.reason, "durationSeconds": ended.duration_s}
    try:
        removed = store.delete(ended.connection_id)
    except MalformedRowError as error:
        log.warning("disconnected", cause=_cause(ended), error=str(error), **known)
    except StoreError as error:
        counted = metrics.fields(config.stage, {Metric.FAILURES: 1})
        log.error("row not removed", cause=_cause(ended), error=str(error), **known, **counted)
        return Response("Internal server error", status_code=500)
    else:
        if removed is None:
            log.info("already gone", cause=_cause(ended), **known)
        else:
            ending = ended_as_reported(removed.connection, ended, now_ms())
            tell("disconnected", [ending], config, log, deadline, reason=ended.reason)
    return Response("disconnected")


def ended_as_reported(row: Connection | None, ended: Ended, now_ms: int) -> Ending:
    """Combine API Gateway's report of an end with the row.

    Without a row, whose content was lost with DynamoDB's answer, the report tells what it can.
    """
    if row is None:
        opened_at = now_ms if ended.connected_at is None else ended.connected_at
        row = Connection(ended.connection_id, opened_at, 0, connected_at=ended.connected_at)
        duration_s = ended.duration_s
    else:
        duration_s = row.duration_s(now_ms) if ended.duration_s is None else ended.duration_s
    intent = row.intent(now_ms if ended.ended_at is None else ended.ended_at)
    cause = cause_of(ended.code, duration_s, intent.cause if intent else None)
    reason = intent.reason if intent and cause == intent.cause else None
    return Ending(row, cause, ended.code, now_ms, duration_s, reason)


def _cause(ended: Ended) -> str:
    return cause_of(ended.code, ended.duration_s, None).value
