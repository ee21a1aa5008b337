"""Answers clients that want to know what they have missed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import UnsettledError
from chalicelib.domain.history import (
    ALL,
    PAGE_BYTES,
    fitting,
    holes,
    own_stream,
    span,
)
from chalicelib.domain.requests import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.domain.history import Head, Place, Span
    from chalicelib.domain.requests import Recover
    from chalicelib.history import Batch, History
    from chalicelib.settings import History as Settings

# Entries of the first query; the later ones read as many as fit the rest of the page.
FIRST_LIMIT = 16
HIGHEST_LIMIT = 1000
# Pauses before an entry that does not show yet is looked for again, in s.
PAUSES_S = (0.05, 0.1, 0.2)
# For how long the newest number of the stream `all` is remembered.
REMEMBERED_MS = 2_000


@dataclass(frozen=True)
class Page:
    """Texts of entries of one stream, and the number up to which they go; `rest` if not to the end.

    `room` are the bytes that other entries may still take.
    """

    texts: tuple[str, ...]
    position: int
    rest: bool
    room: int
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Recovered:
    """An answer, how many notifications are in it, and the places of the client's own ones."""

    text: str
    count: int
    own: tuple[Place, ...]


def recovered(
    request: Recover, client_id: str | None, history: History, settings: Settings, now: int
) -> Recovered:
    """Return the answer to a request.

    `client_id` is the connection's, None for an anonymous client. Raises `HistoryError` when the
    history cannot be read, and `UnsettledError` when an entry does not show yet.
    """
    asked = request.after or Position()
    own = Page((), 0, rest=False, room=PAGE_BYTES)
    has_own = settings.has_own and client_id is not None
    if has_own and client_id is not None:
        own = _page(history, own_stream(client_id), asked.own_number(client_id), request, own, now)
    everybody = _page(history, ALL, asked.all, request, own, now)
    position = Position(
        everybody.position, own.position if has_own else None, client_id if has_own else None
    )
    notifications = ",".join((*own.texts, *everybody.texts))
    opening = _json({"type": "recovered", "n": request.n})
    closing = _json(
        {
            "position": position.to_json(),
            "more": own.rest or everybody.rest,
            "clientId": client_id,
            "at": now,
            "advice": {
                "keepAliveSeconds": settings.keep_alive_seconds,
                "spreadSeconds": settings.spread_seconds,
            },
        }
    )
    text = f'{opening[:-1]},"notifications":[{notifications}],{closing[1:]}'
    return Recovered(text, len(own.texts) + len(everybody.texts), own.places)


def _page(
    history: History, stream: str, asked: int | None, request: Recover, before: Page, now: int
) -> Page:
    """Return the next page of a stream, in the room that the page `before` it has left."""
    if before.rest and asked is not None:
        return Page((), asked, rest=True, room=0)
    head = history.head(stream)
    wanted = span(asked, request.last, head)
    if before.rest:
        return Page((), wanted.after, rest=True, room=0)
    is_empty = not before.texts
    texts: list[str] = []
    places: list[Place] = []
    room, position, limit = before.room, wanted.after, FIRST_LIMIT
    reached = wanted.after
    while reached < wanted.to:
        batch = _settled(history, stream, reached, position, wanted, head, limit, now)
        more, room = fitting(batch.entries, room, is_empty=is_empty and not texts)
        texts += more
        places += [entry.place for entry in batch.entries[: len(more)]]
        if more:
            position = places[-1].seq
        if len(more) < len(batch.entries):
            return Page(tuple(texts), position, rest=True, room=room, places=tuple(places))
        reached = batch.reached
        limit = _next_limit(room, more)
    return Page(tuple(texts), wanted.to, rest=False, room=room, places=tuple(places))


def _settled(
    history: History,
    stream: str,
    reached: int,
    position: int,
    wanted: Span,
    head: Head | None,
    limit: int,
    now: int,
) -> Batch:
    """Read entries behind `reached`, until none is missing that may only not have shown yet.

    `position` is the number of the last entry before them. A missing entry is looked for by
    itself: a read of one item sees each transaction that was completed. If it is not there, it has
    expired, and the client is told by the number of the entry behind it.
    """
    pauses = iter(PAUSES_S)
    while True:
        batch = history.read(stream, reached, wanted.to, limit, now)
        is_end = batch.reached >= wanted.to
        missing = holes(position, batch.entries, head if is_end else None)
        late = next((seq for seq in missing if history.recorded_at(stream, seq, now)), None)
        if late is None:
            return batch
        pause_s = next(pauses, None)
        if pause_s is None:
            raise UnsettledError(stream, late)
        time.sleep(pause_s)


def _next_limit(room: int, texts: Sequence[str]) -> int:
    if not texts:
        return HIGHEST_LIMIT  # all of them had expired
    average = sum(map(len, texts)) // len(texts)
    return max(1, min(HIGHEST_LIMIT, room // average + 1))


_remembered: dict[str, tuple[int, int]] = {}


def heads(client_id: str | None, history: History, settings: Settings, now: int) -> dict[str, int]:
    """Return the newest numbers of a client's streams.

    Costs half a read unit for the client's own stream. The number of the stream `all` is read once
    in 2 s, by wall clock: the monotonic clock of a frozen environment may stand still.
    """
    numbers = {"all": _newest_of_all(history, now)}
    if settings.has_own and client_id is not None:
        head = history.head(own_stream(client_id), consistent=False)
        numbers["own"] = head.seq if head else 0
    return numbers


def _newest_of_all(history: History, now: int) -> int:
    seq, read_at = _remembered.get(history.table, (0, 0))
    if not 0 <= now - read_at < REMEMBERED_MS:
        head = history.head(ALL)
        seq = head.seq if head else 0
        _remembered[history.table] = seq, now
    return seq


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
