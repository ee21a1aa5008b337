"""The function `connections`: returns who is connected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chalicelib import settings
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain.answers import failed, invalid_request, is_text
from chalicelib.domain.connection import UNKNOWN_CLIENT
from chalicelib.domain.errors import RegistryError, RequestError
from chalicelib.reader import ConnectionReader
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.telemetry.logs import Log

EXPECTED = '{"clientId": "…"}, {"connectionId": "…"}, {"clientIds": ["…"]} or {} for the counts'
# Upper ends of the age groups in minutes. The last group holds all older connections.
AGES_MIN = (1, 10, 60, 125)
# Time kept for the last log line.
RESERVE_S = 0.25


def connections(event: object, context: object) -> dict[str, Any]:
    """Handle an invocation of `connections`.

    A lookup returns `{"connections": [row, …]}`, newest first, `{}` the counts, and `clientIds`
    who is here: `{"clients": […], "after": …}`. An invalid request and a failure are logged and
    return `{"error": …}`; nothing is raised.
    """
    log = invocation_log(context)
    deadline = Deadline.of(context).minus(RESERVE_S)
    try:
        config = settings.load()
        set_level(config.log_level)
        if isinstance(event, dict) and "clientIds" in event:
            return _who_is_here(event, config, deadline, log)
        query = _query(event)
        if query is None:
            answer = invalid_request(event, EXPECTED)
            log.warning("invalid request", error=answer["error"]["message"])
            return answer
        return _answer(query, ConnectionReader.open(config.connections_table, deadline), now_ms())
    except RequestError as error:
        log.warning("invalid request", error=str(error))
        return failed(error)
    except RegistryError as error:
        counted = metrics.fields(settings.stage(), {Metric.FAILURES: 1})
        log.error("lookup failed", error=str(error), errorType=type(error).__name__, **counted)
        return failed(error)


def _who_is_here(
    event: Mapping[str, Any], config: Settings, deadline: Deadline, log: Log
) -> dict[str, Any]:
    # Imported only for this question: the others need no `@connections`.
    from chalicelib.domain.presence import parse
    from chalicelib.services.presence import Lookup

    question = parse(event)
    store = ConnectionReader.open(config.connections_table, deadline)
    lookup = Lookup(store, config, deadline, now_ms())
    found, after = lookup.answer(question)
    lookup.answers.report(config, log)
    return {"clients": [each.to_json(look=question.look) for each in found], "after": after}


def _query(event: object) -> Mapping[str, str] | None:
    if not isinstance(event, dict) or len(event) > 1:
        return None
    for name, value in event.items():
        if name not in ("clientId", "connectionId") or not is_text(value):
            return None
    return event


def _answer(query: Mapping[str, str], store: ConnectionReader, now_ms: int) -> dict[str, Any]:
    if "connectionId" in query:
        found = store.live_one(query["connectionId"], now_ms)
        return {"connections": [found.row()] if found else []}
    if "clientId" in query:
        found_all = store.of_client(query["clientId"], now_ms)
        return {"connections": [connection.row() for connection in found_all]}
    return _counts(store, now_ms)


def _counts(store: ConnectionReader, now_ms: int) -> dict[str, Any]:
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
