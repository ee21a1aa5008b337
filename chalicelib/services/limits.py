"""Keeps each client within its number of connections: the newest living ones stay.

No connection is closed on the word of a row alone: the rows of a client that reloads its page are
ahead of its `$disconnect` events.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.adapters.attempts import ATTEMPT_S, FOLLOWING_S
from chalicelib.clock import now_ms
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import GRACE_S
from chalicelib.domain.errors import StoreError
from chalicelib.domain.limits import over_limit
from chalicelib.domain.liveness import DEAD, Verdict
from chalicelib.reader import PAGE_ROWS
from chalicelib.services.endings import remove_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.services.closing import CloseOutcome
    from chalicelib.services.probing import Prober, Verdicts
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

# The handshake waits for looking at, marking, telling and closing the older connections: one GET,
# one UpdateItem, one POST and one DELETE without an answer, and time to withdraw the mark. Clients
# give up a handshake after 10 s.
CONNECT_BUDGET_S = 8.0
CONNECT_TIMEOUT_S = 1.0
# The rows of a client that `$connect` looks at; the sweep looks at more.
CONNECT_ROWS = 50
SWEEP_ROWS = 1000
# The clients that the next sweep looks at again: those on a page for which time ran out, and 100
# others. Their ids take up to 80 KB of the sweep's row.
PENDING_CLIENTS = PAGE_ROWS + 100


def enforce_on_connect(
    connection: Connection, store: ConnectionStore, config: Settings, log: Log
) -> None:
    """Close the oldest living connections of a client that has just opened one too many.

    Costs one Query when there is a limit and the client is known; above the limit, one GET for
    each older row, and an UpdateItem, a POST and a DELETE for each connection closed. The index may
    not yet contain connections that open at the same time; the sweep closes those. A failure never
    refuses the handshake.
    """
    limit, client_id = config.max_connections_per_client, connection.known_client_id
    if limit is None or client_id is None:
        return
    try:
        within = store.until(store.deadline.within(CONNECT_BUDGET_S))
        rows = within.of_client(client_id, connection.created_at)
        others = [
            other
            for other in itertools.islice(rows, CONNECT_ROWS + 1)
            if other.connection_id != connection.connection_id
        ]
        if len(others) >= limit:
            excess = _Excess(limit, within, config, log, CONNECT_TIMEOUT_S, connection)
            excess.close(others[:CONNECT_ROWS])
    except Exception as error:  # noqa: BLE001 - whatever it is, the handshake goes on
        log.error("limit not enforced", error=str(error), clientId=client_id)


@dataclass(frozen=True)
class _Excess:
    """Closes the connections beyond the `allowed` ones of one client, by the store's deadline.

    `opening` is the connection whose handshake is running. It counts by its age, for newer ones may
    have opened meanwhile, and is never closed: the sweep does that.
    """

    allowed: int
    store: ConnectionStore
    config: Settings
    log: Log
    timeout: float
    opening: Connection | None = None

    def close(self, connections: list[Connection]) -> None:
        # Imported here because most handshakes close nothing: 10 ms of a cold start.
        from chalicelib.services.closing import GOODBYE_S, WITHDRAW_S
        from chalicelib.services.probing import Prober

        deadline = self.store.deadline
        prober = Prober(
            self.config.management_endpoint,
            now_ms(),
            deadline.minus(WITHDRAW_S + ATTEMPT_S + GOODBYE_S + self.timeout),
            probes_a_second=None,
            timeout=self.timeout,
        )
        verdicts = prober.verdicts(connections, young=True)
        if None in verdicts.values():
            error, client_id = "no time left", connections[0].client_id
            self.log.error("limit not enforced", error=error, clientId=client_id)
        self.replace(verdicts)
        self.remove_dead(verdicts)

    def replace(self, verdicts: Verdicts) -> dict[str, CloseOutcome]:
        """Close the oldest living connections, with the cause `replaced`."""
        from chalicelib.services.closing import Closing

        living = [each for each, verdict in verdicts.items() if verdict is Verdict.LIVE]
        if self.opening is not None:
            living.append(self.opening)
        excess = [each for each in over_limit(living, self.allowed) if each is not self.opening]
        if not excess:
            return {}
        closing = Closing(
            Cause.REPLACED,
            self.store,
            self.config,
            self.log,
            self.store.deadline,
            timeout=self.timeout,
        )
        outcomes = closing.close(excess)
        self.log.info("replaced", clientId=excess[0].client_id, outcomes=outcomes)
        return outcomes

    def remove_dead(self, verdicts: Verdicts) -> None:
        """Remove the rows of connections that are dead, past the grace period."""
        dead = [each for each, verdict in verdicts.items() if verdict in DEAD]
        deadline = self.store.deadline
        remove_orphans(
            dead, self.store.until(deadline.minus(FOLLOWING_S)), self.config, self.log, deadline
        )


@dataclass
class SweepLimit:
    """Enforces the limit for the clients that a run of the sweep meets, each once.

    A client can only be over its limit if it has connected since the last pass that settled the
    limit, or if it could not be brought within its limit then. `replaced` counts the closed
    connections, and `pending` are the clients to be looked at again. Costs one Query for each such
    client. With `dry_run` nothing is closed.
    """

    limit: int
    prober: Prober
    store: ConnectionStore
    config: Settings
    log: Log
    dry_run: bool
    replaced: int = 0
    pending: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def look_again(self, clients: Iterable[str], deadline: Deadline) -> None:
        """Look at the clients that the last run has left, until `deadline`."""
        for client_id in clients:
            self._look_at(client_id, deadline)

    def enforce(self, connections: Iterable[Connection], settled_ms: int) -> None:
        """Look at the clients of these connections that have connected since `settled_ms`."""
        since_ms = settled_ms - GRACE_S * 1000  # the index follows the table with a delay
        for connection in connections:
            client_id = connection.known_client_id
            if client_id and (connection.created_at >= since_ms or connection.closing):
                self._look_at(client_id, self.prober.deadline)

    def _look_at(self, client_id: str, deadline: Deadline) -> None:
        if client_id in self._seen:
            return
        self._seen.add(client_id)
        if not (deadline.left() > 0 and self._is_within_limit(client_id)):
            self.pending.append(client_id)

    def _is_within_limit(self, client_id: str) -> bool:
        """Close the client's oldest living connections over the limit.

        Returns False if something is left: time ran out, a call failed, or there are more rows.
        """
        try:
            rows = self.store.of_client(client_id, self.prober.now_ms)
            connections = list(itertools.islice(rows, SWEEP_ROWS + self.limit))
        except StoreError as error:
            self.log.error("limit not enforced", error=str(error), clientId=client_id)
            return False
        if len(connections) <= self.limit:
            return True
        verdicts = self.prober.verdicts(connections, young=True)
        judged = list(itertools.takewhile(lambda each: verdicts[each] is not None, connections))
        known: Verdicts = {connection: verdicts[connection] for connection in judged}
        living = [each for each in judged if known[each] is Verdict.LIVE]
        # A silent one that could not be closed may speak again.
        unproven = sum(verdict in (Verdict.UNPROVEN, Verdict.SILENT) for verdict in known.values())
        is_proven = min(len(living), self.limit) + unproven <= self.limit
        complete = is_proven and len(judged) == len(connections) < SWEEP_ROWS + self.limit
        if self.dry_run:
            self.replaced += len(over_limit(living, self.limit))
            return complete
        excess = _Excess(self.limit, self.store, self.config, self.log, self.prober.timeout)
        outcomes = excess.replace(known)
        closed = [outcome for outcome in outcomes.values() if outcome == "closed"]
        self.replaced += len(closed)
        gone = [outcome for outcome in outcomes.values() if outcome == "already gone"]
        return complete and len(closed) + len(gone) == len(outcomes)
