"""Closes the connections that the sweep finds due: expired ones, and closes begun too early."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.close_causes import Cause
from chalicelib.services.closing import CloseOutcome, Closing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log


@dataclass(frozen=True)
class DueCloses:
    """Closes connections of a page of the table by `deadline`. `now_ms` is the sweep's epoch ms.

    What is not reached in time, or fails, is due again in the next pass.
    """

    now_ms: int
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: Deadline

    def close_left(self, connections: Iterable[Connection]) -> None:
        """Close the connections that were kicked while their handshake was running."""
        for connection in connections:
            if not connection.close_due or connection.may_be_opening(self.now_ms):
                continue
            closing = Closing(
                Cause.KICKED,
                self.store,
                self.config,
                self.log,
                self.deadline,
                connection.close_reason,
                reconnect=connection.close_reconnect,
                is_due=True,
            )
            outcomes = closing.close([connection])
            self.log.info(
                "closed a connection that was not open at the time of the request",
                outcomes=outcomes,
            )

    def expired(self, connections: Iterable[Connection]) -> list[Connection]:
        """Return those whose tokens have expired. A handshake that still runs is left alone."""
        return [
            each
            for each in connections
            if each.is_expired(self.now_ms)
            and not (each.may_be_opening(self.now_ms) or each.close_due)
        ]

    def close_expired(self, connections: Sequence[Connection]) -> int:
        """Close these expired connections. Return how many were closed."""
        if not connections:
            return 0
        closing = Closing(Cause.EXPIRED, self.store, self.config, self.log, self.deadline)
        outcomes = Counter(closing.close(connections).values())
        self.log.info("closed expired connections", outcomes=outcomes)
        return outcomes[CloseOutcome.CLOSED]
