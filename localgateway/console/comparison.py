"""Compares the sockets that are open with the rows of the connections table.

A row is read some time after it was written, and a function runs some time after a socket has
changed. So what differs counts only if a reading shows it that began after the last change.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localgateway.console.summaries import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from localgateway.observer.sockets import Socket, Sockets

# The form of API Gateway's connection ids; rows with other keys are not of connections.
_ID = re.compile(r"[\w-]{10,}=")
# The attribute with which an application marks the row of a connection that it is closing.
CLOSING = "closing"


class Verdict(enum.StrEnum):
    """What a socket and a row say about each other."""

    MATCH = "match"
    SETTLING = "settling"
    CLOSING = "closing"
    EXPIRED = "expired"
    NO_ROW = "no_row"
    NO_SOCKET = "no_socket"


DISAGREEMENTS = frozenset({Verdict.EXPIRED, Verdict.NO_ROW, Verdict.NO_SOCKET})


@dataclass(frozen=True)
class Table:
    """The connections table, and its attributes with the connection id and the time to live."""

    name: str
    key: str
    ttl: str | None


@dataclass
class Reading:
    """The rows of the last reading by connection id; it began at `began`, epoch ms, 0 before it."""

    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    began: int = 0


def connections_table(tables: Iterable[Mapping[str, Any]]) -> Table | None:
    """Return the table whose key is called like a connection id, or None.

    `tables` have a name, the names of their keys' attributes, and that of the TTL or None.
    """
    candidates = [
        (_rank(key), number, Table(each["name"], key, each["ttl"]))
        for number, each in enumerate(tables)
        for key in each["keys"]
    ]
    known = [candidate for candidate in candidates if candidate[0]]
    return max(known, key=lambda candidate: (candidate[0], -candidate[1]))[2] if known else None


def _rank(attribute: str) -> int:
    plain = re.sub(r"[^a-z]", "", attribute.lower())
    return 2 if plain in ("connectionid", "connid") else 1 if "connection" in plain else 0


def is_connection_id(text: object) -> bool:
    """Return whether a row's key may be a connection id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def verdict(
    socket: Socket | None,
    row: Mapping[str, Any] | None,
    ended: int | None,
    began: int,
    now: float,
    ttl: str | None,
) -> Verdict | None:
    """Return what a socket and a row say, or None if there is neither.

    `ended` is when the connection ended and `began` when the reading did, in epoch ms; `now` is in
    epoch s, and `ttl` the name of the attribute.
    """
    if row is None:
        if socket is None:
            return None
        missing = socket.phase == "open" and socket.since < began
        return Verdict.NO_ROW if missing else Verdict.SETTLING
    if socket is None:
        return Verdict.SETTLING if ended is not None and ended >= began else Verdict.NO_SOCKET
    if socket.phase != "open":
        return Verdict.SETTLING
    if row.get(CLOSING) is not None:
        return Verdict.CLOSING
    until = row.get(ttl) if ttl else None
    if isinstance(until, int | float) and not isinstance(until, bool) and until < now:
        return Verdict.EXPIRED
    return Verdict.MATCH


class Comparison:
    """The current verdicts by connection id; `reading` may be replaced."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self.reading = Reading()
        self.table: Table | None = None
        self.verdicts: dict[str, Verdict] = {}

    def update(self, ids: Iterable[str], now: float) -> set[str]:
        """Judge connections anew; return the ids of those whose verdict has changed."""
        changed = set()
        for connection_id in ids:
            found = verdict(
                self._sockets.current.get(connection_id),
                self.reading.rows.get(connection_id),
                self._sockets.ended.get(connection_id),
                self.reading.began,
                now,
                self.table.ttl if self.table else None,
            )
            if found is not self.verdicts.get(connection_id):
                changed.add(connection_id)
            if found is None:
                self.verdicts.pop(connection_id, None)
            else:
                self.verdicts[connection_id] = found
        return changed

    def everything(self) -> set[str]:
        """Return the ids of all connections with a socket, a row or a verdict."""
        return set(self._sockets.current) | set(self.reading.rows) | set(self.verdicts)

    def disagreements(self) -> int:
        """Return how many connections disagree."""
        return sum(each in DISAGREEMENTS for each in self.verdicts.values())

    def pair(self, connection_id: str) -> dict[str, Any]:
        """Return one connection for the page: its verdict, its socket and its row."""
        socket = self._sockets.current.get(connection_id)
        return {
            "id": connection_id,
            "verdict": self.verdicts.get(connection_id),
            "socket": None if socket is None else shown_socket(socket),
            "row": self.reading.rows.get(connection_id),
        }


def shown_socket(socket: Socket) -> dict[str, Any]:
    """Return a socket for the page; long texts of the client are cut."""
    handshake = socket.handshake
    shown: dict[str, Any] = cut(
        {
            "phase": socket.phase,
            "since": socket.since,
            "connectedAt": handshake.connected_at,
            "sourceIp": handshake.source_ip,
            "userAgent": handshake.user_agent,
            "query": dict(handshake.query),
            "subprotocols": handshake.subprotocols,
            "origin": handshake.origin,
        }
    )
    return shown
