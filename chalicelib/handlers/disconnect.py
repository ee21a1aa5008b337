"""The function `disconnect`: removes the row of an ended connection and tells its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import settings
from chalicelib.domain import events
from chalicelib.domain.close_causes import Ending, cause_of
from chalicelib.domain.errors import MalformedRowError, StoreError
from chalicelib.services.endings import announce, log_end
from chalicelib.store import open_store
from chalicelib.telemetry.logs import invocation_log, set_level

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

    from chalicelib.domain.connection import Connection
    from chalicelib.domain.events import Ended


def disconnect(event: WebsocketEvent) -> Response:
    """Remove the row of a `$disconnect` event's connection, and log and announce its end.

    Costs one DeleteItem. API Gateway ignores the answer. If the row could not be removed, the
    sweep removes it later. Raises `RegistryError`.
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
            log_end("disconnected", ending, log, event.stage, reason=ended.reason)
            announce([ending], config, log)
    return Response("disconnected")


def ended_as_reported(row: Connection, ended: Ended, now_ms: int) -> Ending:
    """Combine API Gateway's report of an end with the row."""
    duration_s = row.age_s(now_ms) if ended.duration_s is None else ended.duration_s
    cause = cause_of(ended.code, duration_s, row.closing)
    return Ending(row, cause, ended.code, now_ms, duration_s)


def _cause(ended: Ended) -> str:
    return cause_of(ended.code, ended.duration_s, None).value
