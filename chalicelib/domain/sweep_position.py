"""How far the sweep has come, and its row in the connections table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chalicelib.domain.rows import Item

# The id of the row. The row has no `createdAt`, so no reader takes it for a connection, and `#` is
# not in the base64 alphabet of API Gateway's ids.
SWEEP_ROW = "#sweep"


@dataclass(frozen=True)
class Position:
    """How far the sweep's pass over the table has come. Times are epoch ms.

    The next run continues behind the row `start`, or begins a new pass if it is None. `since_ms`
    is the start of the pass, `previous_ms` that of the last complete pass before it, or 0. `live`
    counts the connections presumed alive that the pass has met. `clients` are over their limit or
    could not be looked up, and are looked at again. Every client that has not connected since
    `settled_ms` is within its limit, unless it is one of these; this pass `is_settled` if that
    holds for its own start, too.
    """

    start: str | None
    since_ms: int
    previous_ms: int = 0
    live: int = 0
    clients: tuple[str, ...] = field(default=())
    settled_ms: int = 0
    is_settled: bool = True


def to_item(position: Position) -> Item:
    """Return the row that saves a position."""
    item: dict[str, Any] = {
        "connectionId": {"S": SWEEP_ROW},
        "since": {"N": str(position.since_ms)},
        "previous": {"N": str(position.previous_ms)},
        "live": {"N": str(position.live)},
        "settled": {"N": str(position.settled_ms)},
        "isSettled": {"BOOL": position.is_settled},
    }
    if position.start is not None:
        item["start"] = {"S": position.start}
    if position.clients:
        item["clients"] = {"L": [{"S": client_id} for client_id in position.clients]}
    return item


def from_item(item: Mapping[str, Any]) -> Position | None:
    """Return the position that a row saves, or None if it saves none yet."""
    if "since" not in item:
        return None
    since, previous, live = (int(item[name]["N"]) for name in ("since", "previous", "live"))
    clients = tuple(client["S"] for client in item.get("clients", {}).get("L", ()))
    return Position(
        item.get("start", {}).get("S"),
        since,
        previous,
        live,
        clients,
        settled_ms=int(item.get("settled", {"N": "0"})["N"]),
        is_settled=item.get("isSettled", {"BOOL": True})["BOOL"],
    )
