"""Appends of many publications to one stream at once, in virtual time, with the real pauses."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.history import FIRST_PAUSE_S, LONGEST_PAUSE_S, ROUND_S
from chalicelib.services.recording import APPEND_S

if TYPE_CHECKING:
    from collections.abc import Callable

# In s, assumed: a consistent read of the head, and a transaction, also one that is refused.
READ, WRITE = (0.003, 0.006), (0.010, 0.020)


@dataclass
class Burst:
    """`count` publications within `seconds`; each append may take `limit` s.

    A transaction holds the head while it runs: another one meanwhile is refused for the conflict,
    and one that finds a newer head for its condition.
    """

    count: int
    seconds: float
    limit: float = APPEND_S
    seed: int = 0
    refused: int = 0
    took: list[float] = field(default_factory=list)
    _head: int = 0
    _is_held: bool = False

    def __post_init__(self) -> None:
        """Begin with no events."""
        self._chance = random.Random(self.seed)  # noqa: S311 - repeated by its seed
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = itertools.count()

    def run(self) -> Burst:
        """Let every append end, and return what came of them."""
        for _ in range(self.count):
            began = self._chance.uniform(0, self.seconds)
            self._at(began, self._reading(began, FIRST_PAUSE_S))
        while self._events:
            now, _, act = heapq.heappop(self._events)
            act(now)
        return self

    def _at(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), act))

    def _reading(self, began: float, pause: float) -> Callable[[float], None]:
        def read(now: float) -> None:
            if now - began <= self.limit - ROUND_S:
                answered = now + self._chance.uniform(*READ)
                self._at(answered, self._writing(began, pause, self._head))

        return read

    def _writing(self, began: float, pause: float, seen: int) -> Callable[[float], None]:
        def write(now: float) -> None:
            answered = now + self._chance.uniform(*WRITE)
            if self._is_held or self._head != seen:
                self.refused += 1
                again = answered + self._chance.uniform(0, pause)
                self._at(again, self._reading(began, min(LONGEST_PAUSE_S, 2 * pause)))
            else:
                self._is_held = True
                self._at(answered, self._written(began))

        return write

    def _written(self, began: float) -> Callable[[float], None]:
        def written(now: float) -> None:
            self._is_held = False
            self._head += 1
            self.took.append(now - began)

        return written
