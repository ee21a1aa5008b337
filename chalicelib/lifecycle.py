"""What happens to the table when a connection opens and when it has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import connection, events, settings
from chalicelib.errors import (
    EventError,
    MalformedRowError,
    RegistryError,
    StoreError,
    UnverifiedError,
)
from chalicelib.logs import Log, set_level
from chalicelib.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import WebsocketEvent

    from chalicelib.connection import Connection
    from chalicelib.events import Ended
    from chalicelib.store import ConnectionStore


def answer_errors(
    event: WebsocketEvent, get_response: Callable[[WebsocketEvent], Response]
) -> Response:
    """Turn an error of the registry into the response that API Gateway acts on.

    It is a Chalice middleware. An exception would refuse a handshake as well, but with a 502
    that hides the cause; any error that is not the registry's own still ends so.
    """
    try:
        return get_response(event)
    except EventError as error:
        _log(event).error("invalid event", error=str(error), field=error.field)
        return Response(str(error), status_code=400)
    except RegistryError as error:
        _log(event).error("invocation failed", error=str(error), errorType=type(error).__name__)
        return Response("Internal server error", status_code=500)


def register(event: WebsocketEvent) -> Response:
    """Track the connection of a `$connect` event; API Gateway opens it only after a 200.

    Costs one PutItem and one GetItem. Raises `RegistryError` whenever the row is not known to
    be in the table, so that no live connection is ever untracked.
    """
    log = _log(event)
    connection_id = events.connection_id(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    store = open_store(config.connections_table)
    written = connection.opened(connection_id, _now_ms(), config.ttl_seconds)
    store.put(written)
    _verify(written, store, log)
    return Response("connected")


def _verify(written: Connection, store: ConnectionStore, log: Log) -> None:
    try:
        stored = store.get(written.connection_id)
    except StoreError as error:
        log.warning("connected, not verified", error=str(error), row=written.row())
        return
    if stored != written:
        raise UnverifiedError(written.row(), stored.row() if stored else None)
    log.info("connected", row=stored.row())


def forget(event: WebsocketEvent) -> Response:
    """Remove the row of a `$disconnect` event's connection.

    Costs one DeleteItem. API Gateway ignores the answer; a row that could not be removed is
    left to its time to live. Raises `RegistryError`.
    """
    log = _log(event)
    ended = events.ended(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    end = {"code": ended.code, "reason": ended.reason}
    try:
        row = open_store(config.connections_table).delete(ended.connection_id)
    except MalformedRowError as error:
        log.warning("disconnected", durationSeconds=ended.duration_s, error=str(error), **end)
    except StoreError as error:
        log.error("row not removed", durationSeconds=ended.duration_s, error=str(error), **end)
        return Response("Internal server error", status_code=500)
    else:
        message = "already gone" if row is None else "disconnected"
        log.info(message, durationSeconds=_duration_s(ended, row), **end)
    return Response("disconnected")


def _duration_s(ended: Ended, row: Connection | None) -> float | None:
    if ended.duration_s is not None or row is None:
        return ended.duration_s
    return max(0, _now_ms() - row.created_at) / 1000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _log(event: WebsocketEvent) -> Log:
    context = event.context
    return Log(
        {
            "function": getattr(context, "function_name", None),
            "requestId": getattr(context, "aws_request_id", None),
            "connectionId": event.connection_id,
        }
    )
