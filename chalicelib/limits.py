"""Keeps each client within its number of connections: the newest win."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalicelib.connection import over_limit
from chalicelib.errors import RegistryError

if TYPE_CHECKING:
    from chalicelib.closing import Outcome
    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore

# The handshake waits for the older connections to close.
CONNECT_BUDGET_S = 4.0


def enforce_on_connect(
    connection: Connection, store: ConnectionStore, config: Settings, log: Log
) -> None:
    """Close the oldest connections of a client that has just opened one too many.

    Costs one Query when there is a limit and the client is known, and what `close_all` costs
    for each one closed. The rows of connections that race with this one may not be in the index
    yet: the sweep puts that right. A failure never refuses the handshake.
    """
    limit, client_id = config.max_connections_per_client, connection.known_client_id
    if limit is None or client_id is None:
        return
    deadline = time.monotonic() + CONNECT_BUDGET_S
    try:
        others = [
            other
            for other in store.of_client(client_id, connection.created_at)
            if other.connection_id != connection.connection_id
        ]
        replace_oldest([*others, connection], limit, store, config, log, deadline)
    except RegistryError as error:
        log.error("limit not enforced", error=str(error), clientId=client_id)


def replace_oldest(
    connections: list[Connection],
    limit: int,
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: float,
) -> dict[str, Outcome]:
    """Close those of one client's connections that are over the limit, as `replaced`."""
    excess = over_limit(connections, limit)
    if not excess:
        return {}
    from chalicelib.causes import Cause
    from chalicelib.closing import close_all

    outcomes = close_all(excess, Cause.REPLACED, store, config, log, deadline)
    log.info("replaced", clientId=excess[0].client_id, outcomes=outcomes)
    return outcomes
