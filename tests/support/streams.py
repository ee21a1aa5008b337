"""A model of the history and of what may happen on the way to a client, for the merge rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

Entry = dict[str, Any]
STREAMS = ("own", "all")
CLIENT = "ada"


def notification(stream: str, seq: int, prev: int, identifier: str = "") -> Entry:
    """Return a notification as the server sends it."""
    return {
        "type": "notification",
        "id": identifier or f"{stream}-{seq}",
        "sentAt": 1,
        "subject": None,
        "message": seq,
        "stream": stream,
        "seq": seq,
        "prev": prev,
        "recordedAt": 0,
    }


def recovered(entries: list[Entry], position: dict[str, Any], *, more: bool) -> dict[str, Any]:
    """Return an answer to `recover`."""
    return {
        "type": "recovered",
        "n": 1,
        "notifications": entries,
        "position": position,
        "more": more,
        "clientId": position["own"]["of"] if "own" in position else None,
        "at": 1,
        "advice": {"keepAliveSeconds": 300, "spreadSeconds": 5},
    }


@dataclass
class StreamModel:
    """A stream: `entries` that have not expired, and everything that was ever `recorded`."""

    name: str
    head: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    recorded: list[Entry] = field(default_factory=list)

    def append(self, clock: int, identifier: str, table: int) -> Entry:
        """Record an entry. The first number is the clock's; each other is one more."""
        seq = self.head + 1 if self.head else clock
        entry = notification(self.name, seq, self.head, identifier) | {"recordedAt": table}
        self.head = seq
        self.entries[seq] = entry
        self.recorded.append(entry)
        return entry


class HistoryModel:
    """Both streams of a client, and the answers to `recover`.

    `table` counts how often the table was made anew; `recordedAt` of an entry has it.
    """

    def __init__(self, random: Random) -> None:
        self.streams = {name: StreamModel(name) for name in STREAMS}
        self.clock = 1_000
        self.table = 0
        self._random = random
        self._ids: list[str] = []

    def append(self) -> Entry:
        """Record a notification, sometimes one that was recorded before."""
        self.clock += 10_000
        repeated = self._ids and self._random.random() < 0.1
        identifier = self._random.choice(self._ids) if repeated else f"id-{self.clock}"
        self._ids.append(identifier)
        # a notification goes to everybody or to clients: its id is in one stream
        name = STREAMS[int(identifier[3:]) // 10_000 % 2]
        return self.streams[name].append(self.clock, identifier, self.table)

    def expire(self) -> None:
        """Delete an entry; DynamoDB does so in any order."""
        stream = self.streams[self._random.choice(STREAMS)]
        if stream.entries:
            del stream.entries[self._random.choice(sorted(stream.entries))]

    def remake(self) -> None:
        """Make the table anew, without its entries and heads."""
        self.clock += 10_000_000
        self.table += 1
        for stream in self.streams.values():
            stream.head = 0
            stream.entries.clear()

    def recover(self, after: Mapping[str, Any] | None, last: int, size: int) -> dict[str, Any]:
        """Answer like the function `message`, with at most `size` notifications in a page."""
        room, page, more = size, [], False
        position: dict[str, Any] = {}
        for name in STREAMS:
            stream = self.streams[name]
            asked = (after or {}).get(name)
            if name == "own":
                asked = asked["seq"] if asked and asked["of"] == CLIENT else None
            if asked is None:
                found = sorted(stream.entries)[-last:] if last and after is None else []
            else:
                found = [seq for seq in sorted(stream.entries) if seq > asked]
            taken, left = found[:room], found[room:]
            room -= len(taken)
            reached = stream.head
            if left:
                more = True
                reached = taken[-1] if taken else stream.entries[left[0]]["prev"]
                if not taken and asked is not None:
                    reached = asked
            position[name] = {"seq": reached, "of": CLIENT} if name == "own" else reached
            page += [stream.entries[seq] for seq in taken]
        return recovered(page, position, more=more)
