"""The notifications of the simulated day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.scale.model import Circumstances
from chalicelib.services.delivery import REMOVALS

if TYPE_CHECKING:
    from bench.scale.load import Load


@dataclass
class Delivery:
    """One notification on its way. `rows` are left to be posted to; times are in s."""

    began: float
    rows: float
    posted: float = 0.0
    gone: float = 0.0
    throttled: float = 0.0
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return (self.ended or self.began) - self.began


class Deliveries:
    """Posts to each row, as fast as CPU, posts in flight and the account's quota allow."""

    def __init__(self, load: Load) -> None:
        self._due = sorted(load.notifications, reverse=True)
        self.rate = Circumstances(load.clients, quota=float("inf")).posts_a_second
        self.active: list[Delivery] = []
        self.done: list[Delivery] = []
        self.read_rows = self.removed = 0.0

    def wanted(self, now: int, rows: float) -> float:
        """Return the posts of this second. Each delivery is a function of its own."""
        while self._due and self._due[-1] <= now:
            self._due.pop()
            self.active.append(Delivery(now, rows))
            self.read_rows += rows
        return sum(min(self.rate, each.rows) for each in self.active)

    def step(self, now: int, posts: float, orphans: float, rows: float) -> float:
        """Post, and return how many rows of ended connections are removed."""
        wanted = sum(min(self.rate, each.rows) for each in self.active)
        removed = 0.0
        for each in self.active:
            asked = min(self.rate, each.rows)
            done = asked * posts / wanted if wanted else 0.0
            gone = done * orphans / rows if rows else 0.0
            each.rows -= done
            each.throttled += asked - done
            each.posted += done - gone
            each.gone += gone
            if each.rows < 0.5:
                each.ended = now + 1
                removed += min(each.gone, REMOVALS)
                self.done.append(each)
        self.active = [each for each in self.active if each.ended is None]
        self.removed += min(removed, orphans)
        return min(removed, orphans)
