"""Closes connections from the server's side: kicked ones, and those beyond a client's limit."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.adapters import aws_clients
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.adapters.connections_api.retries import backoff
from chalicelib.domain.errors import StoreError
from chalicelib.services.endings import remove_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.domain.close_causes import Cause
    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log


class CloseOutcome(StrEnum):
    """The result of closing one connection."""

    CLOSED = "closed"
    ALREADY_GONE = "already gone"
    FAILED = "failed"


def close_all(
    connections: Iterable[Connection],
    cause: Cause,
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: float,
) -> dict[str, CloseOutcome]:
    """Close each connection, recording the cause in its row first, and return the outcomes.

    API Gateway reports such a close to `$disconnect` as a plain 1000; the row has the cause. A
    connection that is already gone, past the grace period, has lost its `$disconnect`: its row is
    removed here. `deadline` is in s of `time.monotonic`. Costs one UpdateItem and one DELETE for
    each connection.
    """
    connections = list(connections)
    outcomes = {connection.connection_id: CloseOutcome.FAILED for connection in connections}
    gone: list[Connection] = []
    for endpoint, group in by_endpoint(connections, config.management_endpoint).items():
        known = {connection.connection_id: connection for connection in group}

        def on_reply(call: Call, reply: Reply, known: Mapping[str, Connection] = known) -> None:
            outcomes[call.connection_id] = _outcome(reply)
            if reply.status == 410:
                gone.append(known[call.connection_id])

        api = ConnectionsApiClient(endpoint, aws_clients.credentials())
        api.send_all(_closes(group, cause, store, log), on_reply, deadline, retry=backoff)
    remove_orphans(gone, store, config, log)
    return outcomes


def _closes(
    connections: Iterable[Connection], cause: Cause, store: ConnectionStore, log: Log
) -> Iterator[Call]:
    """Yield the calls lazily, marking each row just before its call starts."""
    for connection in connections:
        try:
            store.mark_closing(connection, cause)
        except StoreError as error:
            log.error(
                "could not mark connection for closing",
                error=str(error),
                closedId=connection.connection_id,
            )
        else:
            yield Call("DELETE", connection.connection_id)


def _outcome(reply: Reply) -> CloseOutcome:
    if reply.status == 204:
        return CloseOutcome.CLOSED
    return CloseOutcome.ALREADY_GONE if reply.status == 410 else CloseOutcome.FAILED
