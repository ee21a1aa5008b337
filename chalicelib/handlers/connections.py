"""The function `connections`: returns who is connected."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, TypedDict

from chalicelib import settings
from chalicelib.domain.answers import Failure, failure, is_text
from chalicelib.domain.connection import UNKNOWN_CLIENT
from chalicelib.domain.errors import RegistryError, RequestError
from chalicelib.store import open_store
from chalicelib.telemetry.logs import invocation_log, set_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.connection import Connection
    from chalicelib.store import ConnectionStore

EXPECTED = '{"clientId": "…"}, {"connectionId": "…"} or {} for the counts'
# Upper ends of the age groups in minutes. The last group holds all older connections.
AGES_MIN = (1, 10, 60, 125)


class Found(TypedDict):
    """The answer to a lookup: the rows of the live connections, newest first."""

    connections: list[dict[str, str | int]]


class Counts(TypedDict):
    """The answer to `{}`: how many connections are live, by client and by age."""

    live: int
    byClient: dict[str, int]
    byAge: dict[str, int]


def connections(event: object, context: object) -> Found | Counts | Failure:
    """Handle an invocation of `connections`.

    An invalid request and a failure are logged and returned, and raise nothing.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        return _answer(_query(event), open_store(config.connections_table))
    except RegistryError as error:
        log.error("lookup failed", error=str(error), errorType=type(error).__name__)
        return failure(error)


def _query(event: object) -> Mapping[str, str]:
    """Return the request. Raises `RequestError` unless it is one of the three kinds."""
    if not isinstance(event, dict) or len(event) > 1:
        raise RequestError(event, EXPECTED)
    for name, value in event.items():
        if name not in ("clientId", "connectionId") or not is_text(value):
            raise RequestError(event, EXPECTED)
    return event


def _answer(query: Mapping[str, str], store: ConnectionStore) -> Found | Counts:
    now_ms = time.time_ns() // 1_000_000
    if "connectionId" in query:
        found = store.live_one(query["connectionId"], now_ms)
        return {"connections": [found.row()] if found else []}
    if "clientId" in query:
        found_all = store.of_client(query["clientId"], now_ms)
        return {"connections": [connection.row() for connection in found_all]}
    return _counts(store, now_ms)


def _counts(store: ConnectionStore, now_ms: int) -> Counts:
    clients: Counter[str] = Counter(known=0, unknown=0)
    ages: Counter[str] = Counter(dict.fromkeys(map(_group_name, AGES_MIN), 0))
    for connection in store.live(now_ms):
        clients["unknown" if connection.client_id == UNKNOWN_CLIENT else "known"] += 1
        ages[_age_group(connection, now_ms)] += 1
    return {"live": clients.total(), "byClient": dict(clients), "byAge": dict(ages)}


def _age_group(connection: Connection, now_ms: int) -> str:
    minutes = connection.age_s(now_ms) / 60
    return _group_name(next((end for end in AGES_MIN if minutes < end), AGES_MIN[-1]))


def _group_name(end_min: int) -> str:
    return f"under{end_min}min"
