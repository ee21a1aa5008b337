"""The function `close`: closes a connection, or all connections of a client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeGuard

from chalicelib import settings
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import cut
from chalicelib.domain.errors import RegistryError
from chalicelib.services.closing import CloseOutcome, close_all
from chalicelib.store import open_store
from chalicelib.telemetry.logs import invocation_log, set_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.connection import Connection
    from chalicelib.store import ConnectionStore

EXPECTED = '{"connectionId": "…"} or {"clientId": "…"}, optionally with "reason": "…"'
REASON_LIMIT = 256
# Time kept for removing rows and for the last log line.
RESERVE_S = 1.0


def close(event: object, context: Any) -> dict[str, Any]:
    """Handle an invocation of `close`.

    An invalid request and a failure return `{"error": …}` and raise nothing.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        if not _is_request(event):
            return {"error": f"invalid request {event!r}; expected {EXPECTED}"}
        store = open_store(config.connections_table)
        connections = _requested(event, store)
        seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
        deadline = time.monotonic() + seconds
        outcomes = close_all(connections, Cause.KICKED, store, config, log, deadline)
    except RegistryError as error:
        log.error("close failed", error=str(error), errorType=type(error).__name__)
        return {"error": str(error)}
    reason = cut(event.get("reason"), REASON_LIMIT)
    if "connectionId" in event and not outcomes:
        outcomes[event["connectionId"]] = CloseOutcome.ALREADY_GONE
    log.info("closed", reason=reason, outcomes=outcomes)
    return {"connections": {name: outcome.value for name, outcome in outcomes.items()}}


def _is_request(event: object) -> TypeGuard[Mapping[str, str]]:
    if not isinstance(event, dict):
        return False
    names = event.keys() - {"reason"}
    return names in ({"connectionId"}, {"clientId"}) and all(
        isinstance(value, str) and value for value in event.values()
    )


def _requested(request: Mapping[str, str], store: ConnectionStore) -> list[Connection]:
    if "clientId" in request:
        return list(store.of_client(request["clientId"], time.time_ns() // 1_000_000))
    found = store.get(request["connectionId"])
    return [found] if found else []
