"""Keeps each client within its number of connections: the newest ones stay."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.connection import GRACE_S
from chalicelib.domain.errors import RegistryError, StoreError
from chalicelib.domain.limits import over_limit
from chalicelib.domain.liveness import DEAD

if TYPE_CHECKING:
    from chalicelib.domain.connection import Connection
    from chalicelib.services.closing import CloseOutcome
    from chalicelib.services.probing import Prober
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

# The handshake waits for the older connections to close.
CONNECT_BUDGET_S = 4.0


def enforce_on_connect(
    connection: Connection, store: ConnectionStore, config: Settings, log: Log
) -> None:
    """Close the oldest connections of a client that has just opened one too many.

    Costs one Query when there is a limit and the client is known, and the costs of `close_all`
    for each connection closed. The index may not yet contain connections that open at the same
    time; the sweep closes those. A failure never refuses the handshake.
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


@dataclass
class SweepLimit:
    """Enforces the limit for connections that the sweep meets; `replaced` counts the closed ones.

    A client can only be over its limit if it has connected since the last complete pass, or if a
    connection could not be closed then. `since_ms` is the start of that pass in epoch ms. Costs
    one Query for each such client. With `dry_run` nothing is closed.
    """

    limit: int
    since_ms: int
    prober: Prober
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: float
    dry_run: bool
    replaced: int = 0

    def enforce(self, connections: list[Connection]) -> list[Connection]:
        """Close the excess connections of these connections' clients.

        Returns the connections up to the first whose client could not be examined in time.
        """
        since_ms = self.since_ms - GRACE_S * 1000  # the index follows the table with a delay
        seen = set()
        for number, connection in enumerate(connections):
            client_id = connection.known_client_id
            is_recent = connection.created_at >= since_ms or connection.closing
            if client_id and is_recent and client_id not in seen:
                seen.add(client_id)
                if not self._enforce_for(client_id):
                    return connections[:number]
        return connections

    def _enforce_for(self, client_id: str) -> bool:
        """Close the client's oldest live connections over the limit. False if out of time."""
        if time.monotonic() >= self.prober.deadline:
            return False
        try:
            connections = list(self.store.of_client(client_id, self.prober.now_ms))
        except StoreError as error:
            self.log.error("limit not enforced", error=str(error), clientId=client_id)
            return True
        if not over_limit(connections, self.limit):
            return True
        verdicts = self.prober.verdicts(connections)
        if None in verdicts.values():
            return False
        alive = [connection for connection, verdict in verdicts.items() if verdict not in DEAD]
        if self.dry_run:
            self.replaced += len(over_limit(alive, self.limit))
        else:
            from chalicelib.services.closing import CloseOutcome  # see `replace_oldest`

            outcomes = replace_oldest(
                alive, self.limit, self.store, self.config, self.log, self.deadline
            )
            self.replaced += list(outcomes.values()).count(CloseOutcome.CLOSED)
        return True


def replace_oldest(
    connections: list[Connection],
    limit: int,
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: float,
) -> dict[str, CloseOutcome]:
    """Close a client's connections over the limit, with the cause `replaced`."""
    excess = over_limit(connections, limit)
    if not excess:
        return {}
    # Imported here because most handshakes close nothing: 10 ms of a cold start.
    from chalicelib.domain.close_causes import Cause
    from chalicelib.services.closing import close_all

    outcomes = close_all(excess, Cause.REPLACED, store, config, log, deadline)
    log.info("replaced", clientId=excess[0].client_id, outcomes=outcomes)
    return outcomes
