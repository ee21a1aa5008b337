"""The function `close`: closes a connection, or all connections of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from chalicelib import settings
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain.answers import failed, invalid_request, is_text
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import REASON_LIMIT, cut
from chalicelib.domain.errors import RegistryError
from chalicelib.domain.goodbye import MESSAGE_BYTES
from chalicelib.services.closing import CloseOutcome, Closing
from chalicelib.store import ConnectionStore
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.connection import Connection

EXPECTED = (
    '{"connectionId": "…"} or {"clientId": "…"}, optionally with "reason": "…", '
    f'"message": "…" (at most {MESSAGE_BYTES} bytes) and "reconnect": true or false'
)
# Time kept for removing and announcing rows, and for the last log line.
RESERVE_S = 3.0


def close(event: object, context: Any) -> dict[str, Any]:
    """Handle an invocation of `close`.

    `reason` is for the log and the event. The client is told `message`, and with `reconnect` true
    to come back. Returns `{"connections": {id: outcome}}`. An invalid request and a failure return
    `{"error": …}` and raise nothing.
    """
    log = invocation_log(context)
    deadline = Deadline.of(context).minus(RESERVE_S)
    try:
        config = settings.load()
        set_level(config.log_level)
        if not _is_request(event):
            return invalid_request(event, EXPECTED)
        store = ConnectionStore.open(config.connections_table, deadline)
        connections = _requested(event, store)
        reason = cut(event.get("reason"), REASON_LIMIT)
        closing = Closing(
            Cause.KICKED,
            store,
            config,
            log,
            deadline,
            reason,
            event.get("message"),
            event.get("reconnect"),
            wait_for_opening=True,
        )
        outcomes = closing.close(connections)
    except RegistryError as error:
        counted = metrics.fields(settings.stage(), {Metric.FAILURES: 1})
        log.error("close failed", error=str(error), errorType=type(error).__name__, **counted)
        return failed(error)
    if "connectionId" in event and not outcomes:
        outcomes[event["connectionId"]] = CloseOutcome.ALREADY_GONE
    log.info("closed", reason=reason, outcomes=outcomes)
    return {"connections": {name: outcome.value for name, outcome in outcomes.items()}}


def _is_request(event: object) -> TypeGuard[Mapping[str, Any]]:
    if not isinstance(event, dict):
        return False
    texts = {name: value for name, value in event.items() if name != "reconnect"}
    return (
        texts.keys() - {"reason", "message"} in ({"connectionId"}, {"clientId"})
        and all(map(is_text, texts.values()))
        and len(texts.get("message", "").encode()) <= MESSAGE_BYTES
        and isinstance(event.get("reconnect", False), bool)
    )


def _requested(request: Mapping[str, Any], store: ConnectionStore) -> list[Connection]:
    if "clientId" in request:
        return list(store.of_client(request["clientId"], now_ms()))
    found = store.get(request["connectionId"])
    return [found] if found else []
