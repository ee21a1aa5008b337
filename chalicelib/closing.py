"""The server closes connections: those that are kicked, and those that newer ones replace."""

from __future__ import annotations

import contextlib
import functools
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeGuard

from chalicelib import announcements, sdk, settings
from chalicelib.causes import Cause, Ending
from chalicelib.connection import GRACE_S, cut
from chalicelib.ending import log_ending
from chalicelib.errors import RegistryError, StoreError
from chalicelib.logs import invocation_log, set_level
from chalicelib.management import Call, Endpoint, Management, backoff
from chalicelib.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.management import Reply
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore

ACCEPTED = '{"connectionId": "..."} or {"clientId": "..."}, and perhaps "reason": "..."'
REASON_LIMIT = 256
RESERVE_S = 1.0


class Outcome(StrEnum):
    """What came of closing one connection."""

    CLOSED = "closed"
    ALREADY_GONE = "already gone"
    FAILED = "failed"


def by_endpoint(
    connections: Iterable[Connection], override: str
) -> dict[Endpoint, list[Connection]]:
    """Group connections by the API that holds them.

    One whose row does not tell it, or tells an address that cannot be, is left out.
    """
    groups: dict[Endpoint, list[Connection]] = {}
    for connection in connections:
        endpoint = endpoint_of(connection, override)
        if endpoint:
            groups.setdefault(endpoint, []).append(connection)
    return groups


def endpoint_of(connection: Connection, override: str) -> Endpoint | None:
    """Name the API that holds a connection, None when its row does not tell a possible one."""
    api_id, region, stage = connection.api_id, connection.region, connection.stage
    if not (api_id and region and stage):
        return None
    with contextlib.suppress(ValueError):
        return _endpoint(api_id, region, stage, override or None)
    return None


_endpoint = functools.lru_cache(maxsize=64)(Endpoint.of)


def close_all(
    connections: Iterable[Connection],
    cause: Cause,
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: float,
) -> dict[str, Outcome]:
    """Close each connection, with the cause written to its row first, and tell what came of it.

    API Gateway reports such a close to `$disconnect` as a plain 1000; the row tells why. One that
    is gone already, past the grace, has lost its `$disconnect`: its row is removed here.
    `deadline` is in s of `time.monotonic`. Costs one UpdateItem and one DELETE a connection.
    """
    connections = list(connections)
    outcomes = {connection.connection_id: Outcome.FAILED for connection in connections}
    gone: list[Connection] = []
    for endpoint, group in by_endpoint(connections, config.management_endpoint).items():
        known = {connection.connection_id: connection for connection in group}

        def on_reply(call: Call, reply: Reply, known: Mapping[str, Connection] = known) -> None:
            outcomes[call.connection_id] = _outcome(reply)
            if reply.status == 410:
                gone.append(known[call.connection_id])

        management = Management(endpoint, sdk.credentials())
        marked = _marked(group, cause, store, log)
        management.carry_out(marked, on_reply, deadline, retry=backoff)
    remove_orphans(gone, store, config, log)
    return outcomes


def _marked(
    connections: Iterable[Connection], cause: Cause, store: ConnectionStore, log: Log
) -> Iterator[Call]:
    """Give the calls, each at the moment when it is begun and its row has just been marked."""
    for connection in connections:
        try:
            store.mark_closing(connection, cause)
        except StoreError as error:
            log.error("not closed", error=str(error), closedId=connection.connection_id)
        else:
            yield Call("DELETE", connection.connection_id)


def _outcome(reply: Reply) -> Outcome:
    if reply.status == 204:
        return Outcome.CLOSED
    return Outcome.ALREADY_GONE if reply.status == 410 else Outcome.FAILED


def remove_orphans(
    gone: Iterable[Connection], store: ConnectionStore, config: Settings, log: Log
) -> None:
    """Remove the rows of connections that API Gateway says are gone, if they are past the grace."""
    now_ms = time.time_ns() // 1_000_000
    endings = []
    for connection in gone:
        if connection.age_s(now_ms) >= GRACE_S:
            endings += remove_orphan(connection, now_ms, store, config.stage, log)
    announcements.announce(endings, config, log)


def remove_orphan(
    connection: Connection, now_ms: int, store: ConnectionStore, stage: str, log: Log
) -> list[Ending]:
    """Remove the row of a dead connection and log its end; give the end if it was ours to tell.

    Whoever removes the row tells of the end: nobody else, and nobody twice.
    """
    try:
        row = store.remove(connection)
    except RegistryError as error:
        log.error("row not removed", error=str(error), orphanId=connection.connection_id)
        return []
    if row is None:
        return []
    ending = Ending(row, Cause.ORPHANED, None, now_ms, row.age_s(now_ms))
    log_ending("orphan removed", ending, log, stage, orphanId=row.connection_id)
    return [ending]


def close(event: object, context: Any) -> dict[str, Any]:
    """Answer an invocation of the function `close`.

    A wrong request and a failure are answered with `{"error": ...}`, and raise nothing.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        if not _is_request(event):
            return {"error": f"{event!r} is not accepted; accepted is {ACCEPTED}"}
        store = open_store(config.connections_table)
        named = _named(event, store)
        seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
        deadline = time.monotonic() + seconds
        outcomes = close_all(named, Cause.KICKED, store, config, log, deadline)
    except RegistryError as error:
        log.error("close failed", error=str(error), errorType=type(error).__name__)
        return {"error": str(error)}
    reason = cut(event.get("reason"), REASON_LIMIT)
    if "connectionId" in event and not outcomes:
        outcomes[event["connectionId"]] = Outcome.ALREADY_GONE
    log.info("closed", reason=reason, outcomes=outcomes)
    return {"connections": {name: outcome.value for name, outcome in outcomes.items()}}


def _is_request(event: object) -> TypeGuard[Mapping[str, str]]:
    if not isinstance(event, dict):
        return False
    names = event.keys() - {"reason"}
    return names in ({"connectionId"}, {"clientId"}) and all(
        isinstance(value, str) and value for value in event.values()
    )


def _named(request: Mapping[str, str], store: ConnectionStore) -> list[Connection]:
    if "clientId" in request:
        return list(store.of_client(request["clientId"], time.time_ns() // 1_000_000))
    found = store.get(request["connectionId"])
    return [found] if found else []
