"""Closes the connections of clients that have fallen silent: their network is gone.

API Gateway keeps such a connection for up to ten minutes, or longer if something is posted to it,
and takes every post for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.domain.close_causes import Cause
from chalicelib.domain.liveness import Verdict
from chalicelib.services.closing import CloseOutcome, Closing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.services.probing import Prober
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log


def close_silent(
    connections: Sequence[Connection],
    prober: Prober,
    store: ConnectionStore,
    config: Settings,
    log: Log,
    deadline: Deadline,
) -> int:
    """Close those that are silent still, without a goodbye, and return their number.

    Costs a second GET for each of `connections`, because a client may have spoken since the first
    one, and an UpdateItem and a DELETE for each one closed. What time does not allow, and what
    fails, is left to the next pass.
    """
    if not connections:
        return 0
    again = prober.verdicts(connections)
    silent = [each for each in connections if again[each] is Verdict.SILENT]
    outcomes = Closing(Cause.SILENT, store, config, log, deadline).close(silent)
    closed = [name for name, outcome in outcomes.items() if outcome is CloseOutcome.CLOSED]
    log.info("closed silent connections", found=len(connections), closedIds=closed)
    return len(closed)
