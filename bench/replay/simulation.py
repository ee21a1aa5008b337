"""A simulation in virtual time of readers that reconnect, and of a writer that is not reliable.

Publications reach the function out of order and sometimes twice. A run may die before it writes or
before it posts, and is repeated. A write may be slow. Posts get lost. Clocks differ. Each reader is
connected for a while, away for a while, and recovers when it returns.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# In s, except for shares. All are assumptions.
FIRST, DURATION = 5.0, 600.0  # by the first publication every reader has connected once
CONNECTED, AWAY = 25.0, 8.0
USUAL_DELAY, LONGEST_DELAY, SHARE_LATE = 0.3, 30.0, 0.1
SHARE_REPEATED, SHARE_DYING, RETRY_AFTER = 0.02, 0.025, 60.0
WRITE, SHARE_SLOW, SLOW = 0.02, 0.01, (0.5, 3.0)
POST, SHARE_POSTS_LOST = (0.05, 0.3), 0.01
CLOCK_ERROR = 0.05
SETTLED = 120.0  # after the last publication; by then everybody has returned once more


@dataclass(frozen=True)
class Case:
    """How much happens."""

    seed: int = 0
    readers: int = 60
    publications: int = 1000


class Numbering(Protocol):
    """A way to number notifications, as the function and its readers use it."""

    write_units: int  # of a notification up to 1 KB

    def begin(self, publication: int, now: float, clock: float) -> Callable[[float], None]:
        """Begin to record a publication; the result is called when the write shows."""

    def repeats(self, publication: int) -> bool:
        """Return whether a repeated run finds the publication recorded."""

    def post(self, reader: int, publication: int) -> bool:
        """Let a reader take a post. Return whether it wants to recover."""

    def recover(self, reader: int) -> None:
        """Let a reader recover."""

    def shown(self, reader: int) -> list[int]:
        """Return the publications that a reader has shown, in its order."""

    def disorder(self, reader: int) -> int:
        """Return how many publications a reader has shown after one with a higher number."""


@dataclass
class Result:
    """What came of it, over all readers."""

    lost: int = 0
    readers_that_lost: int = 0
    twice: int = 0
    recoveries: int = 0


def simulate(case: Case, numbering: Numbering) -> Result:
    """Run one case to its end."""
    return _Run(case, numbering).run()


class _Run:
    def __init__(self, case: Case, numbering: Numbering) -> None:
        self._case, self._numbering = case, numbering
        self._chance = random.Random(case.seed)  # noqa: S311 - repeated by its seed
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._now = 0.0
        self._connected = [False] * case.readers
        self._result = Result()

    def run(self) -> Result:
        chance, case = self._chance, self._case
        for publication in range(case.publications):
            at = chance.uniform(FIRST, DURATION)
            self._at(at + self._delay(), self._invoke, publication)
            if chance.random() < SHARE_REPEATED:
                self._at(at + self._delay(), self._invoke, publication)
        for reader in range(case.readers):
            self._at(chance.uniform(0, 2), self._connect, reader)
        while self._events:
            self._now, _, act = heapq.heappop(self._events)
            act()
        for reader in range(case.readers):  # the next ping would show that something is missing
            self._recover(reader)
        return self._judge()

    def _at(self, moment: float, act: Callable[..., None], *arguments: object) -> None:
        heapq.heappush(self._events, (moment, next(self._count), lambda: act(*arguments)))

    def _delay(self) -> float:
        late = self._chance.random() < SHARE_LATE
        return self._chance.uniform(0, LONGEST_DELAY if late else USUAL_DELAY)

    def _invoke(self, publication: int) -> None:
        """Run `notify`: record, then post. Lambda repeats a run that dies."""
        chance = self._chance
        fate = chance.random()
        if fate < SHARE_DYING / 2:
            self._at(self._now + RETRY_AFTER, self._invoke, publication)
            if fate < SHARE_DYING / 4:  # between the number and the entry, where there is a between
                self._numbering.begin(publication, self._now, self._clock())
            return
        dies = fate < SHARE_DYING
        if self._numbering.repeats(publication):
            self._at(self._now + WRITE, self._post_all, publication, dies)
            return
        slow = chance.random() < SHARE_SLOW
        write = chance.uniform(*SLOW) if slow else WRITE
        show = self._numbering.begin(publication, self._now, self._clock())

        def written() -> None:
            show(self._now)
            self._post_all(publication, dies)

        self._at(self._now + write, written)

    def _clock(self) -> float:
        return self._now + self._chance.uniform(-CLOCK_ERROR, CLOCK_ERROR)

    def _post_all(self, publication: int, dies: bool) -> None:
        readers = range(self._case.readers)
        if dies:
            readers = range(self._chance.randrange(self._case.readers))
            self._at(self._now + RETRY_AFTER, self._invoke, publication)
        for reader in readers:
            if self._connected[reader] and self._chance.random() >= SHARE_POSTS_LOST:
                self._at(self._now + self._chance.uniform(*POST), self._post, reader, publication)

    def _post(self, reader: int, publication: int) -> None:
        if self._connected[reader] and self._numbering.post(reader, publication):
            self._recover(reader)

    def _recover(self, reader: int) -> None:
        self._result.recoveries += 1
        self._numbering.recover(reader)

    def _connect(self, reader: int) -> None:
        self._connected[reader] = True
        self._recover(reader)
        if self._now < DURATION + SETTLED:
            self._at(self._now + self._chance.expovariate(1 / CONNECTED), self._disconnect, reader)

    def _disconnect(self, reader: int) -> None:
        self._connected[reader] = False
        self._at(self._now + self._chance.uniform(0, AWAY), self._connect, reader)

    def _judge(self) -> Result:
        result = self._result
        for reader in range(self._case.readers):
            shown = self._numbering.shown(reader)
            missing = set(range(self._case.publications)) - set(shown)
            result.lost += len(missing)
            result.readers_that_lost += bool(missing)
            result.twice += len(shown) - len(set(shown))
        return result
