"""The history of notifications: streams, their numbers, and what a client has missed.

A stream is a sequence of entries. Each entry has the number of the one before it, so a reader that
knows the number of the last entry that it has seen also knows whether it has missed any.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["all", "own"]

ALL = "all"
_OWN_PREFIX = "c#"
# Numbers are exact in every JSON parser up to this one.
MAX_NUMBER = 2**53 - 1
# So many of the newest ids keep a head under 1 KB: SNS's ids have 36 characters.
KEPT_IDS = 20
_LONGEST_ID = 64
# An envelope with the fields of its position fits a page: an answer, which API Gateway limits to
# 128 KB, without the rest of the answer.
PAGE_BYTES = 126 * 1024
# What `placed` adds at most, with room for one more field.
POSITION_BYTES = 128


def own_stream(client_id: str) -> str:
    """Return the stream of the notifications that name a client."""
    return f"{_OWN_PREFIX}{client_id}"


@dataclass(frozen=True)
class Place:
    """Where an entry stands: its stream, its number, that of the entry before it, and when.

    `prev` is 0 for the first entry ever. `at` is epoch ms.
    """

    stream: str
    seq: int
    prev: int
    at: int

    @property
    def kind(self) -> Kind:
        """Return the name of the stream for clients: every client has one of its own."""
        return "all" if self.stream == ALL else "own"


@dataclass(frozen=True)
class Entry:
    """A notification in a stream, as clients receive it but for the place."""

    place: Place
    id: str
    envelope: str

    def text(self) -> str:
        """Return the JSON that clients receive."""
        return placed(self.envelope, self.place)


@dataclass(frozen=True)
class Head:
    """The newest number of a stream, when it was given (epoch ms), and the newest ids."""

    stream: str
    seq: int
    at: int
    ids: tuple[str, ...]

    def find(self, notification_id: str) -> Place | None:
        """Return the place of one of the newest notifications, or None if it is not among them.

        The head does not know when an older one was recorded: `at` is when the newest one was.
        """
        mark = mark_of(notification_id)
        if mark not in self.ids:
            return None
        index = self.ids.index(mark)
        seq = self.seq - (len(self.ids) - 1 - index)
        is_first = index == 0 and len(self.ids) < KEPT_IDS
        return Place(self.stream, seq, 0 if is_first else seq - 1, self.at)


def mark_of(notification_id: str) -> str:
    """Return the id as a head stores it: a long one, which SNS never gives, as its digest."""
    if len(notification_id) <= _LONGEST_ID:
        return notification_id
    return hashlib.sha256(notification_id.encode("utf-8", "replace")).hexdigest()


def following(head: Head | None, stream: str, notification_id: str, now_ms: int) -> Head:
    """Return the head of a stream after one more notification.

    The first number is the clock's, so that a table made anew goes on above the numbers of the
    old one. Nothing else depends on the clock.
    """
    mark = mark_of(notification_id)
    if head is None:
        return Head(stream, now_ms, now_ms, (mark,))
    return Head(stream, head.seq + 1, max(now_ms, head.at), (*head.ids, mark)[-KEPT_IDS:])


def placed(envelope: str, place: Place) -> str:
    """Add the place to an envelope, a JSON object."""
    fields = (
        f'"stream":"{place.kind}","seq":{place.seq},"prev":{place.prev},"recordedAt":{place.at}'
    )
    return f"{envelope[:-1]},{fields}}}"


@dataclass(frozen=True)
class Span:
    """The entries above the number `after`, up to `to`."""

    after: int
    to: int


def span(asked: int | None, last: int, head: Head | None) -> Span:
    """Return what a client has to be given that stands at `asked`, or that wants the `last` ones.

    A number above the head is another table's: nothing is to be given, and the client goes on
    from the head.
    """
    newest = head.seq if head else 0
    after = max(0, newest - last) if asked is None else asked
    return Span(min(after, newest), newest)


def holes(after: int, entries: Sequence[Entry], head: Head | None) -> list[int]:
    """Return the numbers of missing entries, which have expired or only do not show yet.

    `entries` were read above the number `after`, and up to `head` if that is given: reads of
    several items are no snapshot.
    """
    missing = []
    for entry in entries:
        if entry.place.prev > after:
            missing.append(entry.place.prev)
        after = entry.place.seq
    if head and head.seq > after:
        missing.append(head.seq)
    return missing


def fitting(entries: Sequence[Entry], room: int, *, is_empty: bool) -> tuple[list[str], int]:
    """Return the texts of the first entries that fit into `room` bytes, and the room left.

    The page `is_empty` if nothing is in it yet; its first text needs no comma, and always fits.
    """
    texts: list[str] = []
    for entry in entries:
        text = entry.text()
        size = len(text.encode()) + (not is_empty)
        if size > room and not is_empty:
            break
        is_empty = False
        room -= size
        texts.append(text)
    return texts, room
