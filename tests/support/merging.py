"""Random lives of a reader: what the history records, and in which order it reaches a client."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from incident_websocket.merge import Merge, Step
from incident_websocket.position import Position
from incident_websocket.protocol import Gap, Notification, Recovered, parse
from tests.support.streams import CLIENT, STREAMS, Entry, HistoryModel

CASES = Path(__file__).resolve().parents[2] / "clients" / "js" / "test" / "merge-cases.json"
PlainStep = dict[str, Any]


@dataclass
class Life:
    """What happened to a reader, as plain data: the cases that clients of each language share.

    An operation is `{"live": entry, "knownClient": bool}` or `{"page": answer, "asked": position}`.
    `steps` has a list for each operation.
    """

    start: Position | None
    order: bool
    operations: list[dict[str, Any]] = field(default_factory=list)
    steps: list[list[PlainStep]] = field(default_factory=list)


class Reader:
    """A merge that is fed with the messages of a server, and remembers what it gave."""

    def __init__(self, start: Position | None, *, order: bool) -> None:
        self.merge = Merge(start, order=order)
        self.life = Life(start, order)
        self.known_client = False
        self.tables = [(0, 0)]  # from which operation on which table answers

    def live(self, entry: Entry) -> None:
        """Take a notification that was posted."""
        message = parse(json.dumps(entry))
        assert isinstance(message, Notification)
        steps = self.merge.live(message, known_client=self.known_client)
        self._record({"live": entry, "knownClient": self.known_client}, steps)

    def page(self, answer: dict[str, Any], asked: Position | None) -> bool:
        """Take an answer, and return whether the reader has everything before it."""
        message = parse(json.dumps(answer))
        assert isinstance(message, Recovered)
        self._record({"page": answer, "asked": asked}, self.merge.recovered(message, asked))
        self.known_client = True
        return not message.more and not self.merge.behind(message.heads)

    def _record(self, operation: dict[str, Any], steps: Iterable[Step]) -> None:
        self.life.operations.append(operation)
        self.life.steps.append([plain(step) for step in steps])


def load() -> list[Life]:
    """Return the cases that are stored for the clients of each language."""
    return [Life(**case) for case in json.loads(CASES.read_text())]


def store(number: int) -> None:
    """Write new cases, after the rule has changed."""
    lives = [live_a_life(Random(seed), 20 + seed % 60)[0].life for seed in range(number)]
    lines = [json.dumps(vars(life), separators=(",", ":")) for life in lives]
    CASES.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def replay(life: Life) -> Reader:
    """Return a reader to whom the same has happened."""
    reader = Reader(life.start, order=life.order)
    for operation in life.operations:
        if "live" in operation:
            reader.known_client = operation["knownClient"]
            reader.live(operation["live"])
        else:
            reader.page(operation["page"], operation["asked"])
    return reader


def plain(step: Step) -> PlainStep:
    """Return a step as JSON has it."""
    item: object = None
    if isinstance(step.item, Notification):
        item = step.item.id
    elif isinstance(step.item, Gap):
        item = {"stream": step.item.stream, "after": step.item.after, "to": step.item.to}
    return {"item": item, "stream": step.stream, "seq": step.seq, "of": step.of}


def starts(random: Random, history: HistoryModel) -> Position | None:
    """Return a position to begin with: none, a good one, another client's, a foreign one."""
    if random.random() < 0.3:
        return None
    own, everybody = (history.streams[name] for name in STREAMS)
    number = random.choice([own.head, own.head + 999, 0])
    of = random.choice([CLIENT, CLIENT, "bob"])
    position: Position = {"all": random.choice([everybody.head, everybody.head + 999, 0])}
    if random.random() < 0.7:
        position["own"] = {"seq": number, "of": of}
    return position


class _Chance:
    """Lets random things happen to a reader and to the history."""

    def __init__(self, random: Random) -> None:
        self.history = HistoryModel(random)
        for _ in range(random.randint(0, 6)):
            self.history.append()
        self.reader = Reader(starts(random, self.history), order=random.random() < 0.7)
        self._random = random
        self._last = random.choice([0, 0, 3])
        self._posts: list[Entry] = []
        # the position asked for, and the answer, once the server has read it
        self._request: tuple[Position | None, dict[str, Any] | None] | None = None

    def something(self) -> None:
        """Let one thing happen."""
        act = self._random.choice(
            4 * [self._append]
            + 5 * [self._deliver]
            + 4 * [self._recover]
            + [self.history.expire, self._reconnect, self._remake]
        )
        act()

    def end(self) -> None:
        """Recover everything."""
        while True:
            asked = self.reader.merge.position
            if self.reader.page(self.history.recover(asked, self._last, 3), asked):
                return

    def _append(self) -> None:
        entry = self.history.append()
        self._posts += self._random.choice([[entry], [entry], [entry, entry], []])

    def _deliver(self) -> None:
        if self._posts:
            self.reader.live(self._posts.pop(self._random.randrange(len(self._posts))))

    def _recover(self) -> None:
        """Let the client ask, the server read, or the answer arrive."""
        if self._request is None:
            self._request = (self.reader.merge.position, None)
            return
        asked, answer = self._request
        if answer is None:
            size = self._random.randint(1, 4)
            self._request = (asked, self.history.recover(asked, self._last, size))
        else:
            self._request = None
            self.reader.page(answer, asked)

    def _reconnect(self) -> None:
        """Lose the answer."""
        self._request, self.reader.known_client = None, False

    def _remake(self) -> None:
        if self._random.random() < 0.2 and _has_noticed(self.reader, self.history):
            self.history.remake()
            self._posts.clear()
            self._request = None
            self.reader.tables.append((len(self.reader.life.operations), self.history.table))


def live_a_life(random: Random, length: int) -> tuple[Reader, HistoryModel]:
    """Let a reader live through random events, and then recover everything."""
    chance = _Chance(random)
    for _ in range(length):
        chance.something()
    chance.end()
    return chance.reader, chance.history


def _has_noticed(reader: Reader, history: HistoryModel) -> bool:
    """Return whether a reader would notice a new table: one that stands at 0 may not."""
    position = reader.merge.position or {}
    own, everybody = (history.streams[name].recorded for name in STREAMS)
    return not (
        (own and not position.get("own", {}).get("seq")) or (everybody and not position.get("all"))
    )


if __name__ == "__main__":
    store(30)
