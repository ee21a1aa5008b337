"""Claims a client's notifications: what it asked for, and what it acknowledges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from chalicelib.domain.errors import RequestError
from chalicelib.domain.history import own_stream
from chalicelib.domain.unclaimed import CLAIMED_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.claims import Claims
    from chalicelib.domain.history import Place
    from chalicelib.domain.requests import Received

AT_ONCE = 8


def hand_out(client_id: str, places: Sequence[Place], claims: Claims, now: int) -> None:
    """Claim the young ones of the entries that a client is about to be answered with.

    Costs 1 write unit for each entry of the last hour; older ones were announced long ago, or
    never will be. Raises `HistoryError` when a claim cannot be written: the client asks again.
    """
    young = [place for place in places if now - place.at < CLAIMED_MS]
    if not young:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(young))) as pool:
        written = [pool.submit(claims.hand_out, client_id, each.seq, each.at) for each in young]
    for each in written:
        each.result()


def receive(request: Received, client_id: str | None, claims: Claims, now: int) -> None:
    """Claim the entry that a client acknowledges, however late. Costs 1 write unit.

    Raises `RequestError` unless the entry is in the client's own stream, and `HistoryError`.
    """
    recorded_at = None
    if client_id is not None:
        recorded_at = claims.history.recorded_at(own_stream(client_id), request.seq, now)
    if client_id is None or recorded_at is None:
        expected = "the number of a notification for this client alone"
        raise RequestError("seq", request.seq, expected, request.n)
    claims.receive(client_id, request.seq, recorded_at)
