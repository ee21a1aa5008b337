"""What outlives a connection: the position, what waits for the consumer, receipts, advice."""

import asyncio
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from .inbox import Inbox
from .merge import Merge, Step
from .position import Position
from .protocol import Advice, Recovered

KEEP_ALIVE_S = 300.0  # API Gateway closes a connection after 10 idle minutes
SPREAD_S = 5.0
MOST_RECEIPTS = 1000
RENEWAL_S = (105 * 60.0, 115 * 60.0)  # API Gateway closes a connection after 2 hours


@dataclass(frozen=True)
class Options:
    """The client's settings. The last two are for tests."""

    last: int = 0
    order: bool = True
    keep_alive_s: float | None = None
    spread_s: float | None = None
    renewal_s: tuple[float, float] = RENEWAL_S
    now: Callable[[], float] = time.time
    random: Random = field(default_factory=Random)


class Receipts:
    """Notifications whose sender waits for a receipt, by number, until the server has answered.

    Of more than `MOST_RECEIPTS` the oldest are given up: their senders have waited longest.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, None] = {}
        self._changed = asyncio.Event()

    def add(self, seq: int) -> None:
        """Remember a notification that was handled."""
        self._waiting[seq] = None
        if len(self._waiting) > MOST_RECEIPTS:
            self.remove(min(self._waiting))
        self._changed.set()

    def remove(self, seq: int) -> None:
        """Forget one that the server has answered."""
        self._waiting.pop(seq, None)

    def postpone(self, seq: int) -> None:
        """Let the others go first."""
        if seq in self._waiting:
            self.remove(seq)
            self._waiting[seq] = None

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    async def next(self) -> int:
        """Wait for one."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        return next(iter(self._waiting))


def share(name: str) -> float:
    """Return a number from 0 to 1 that is the same for a name in the client of each language."""
    number = 2166136261  # FNV-1a, RFC 9923
    for byte in name.encode(errors="replace"):
        number = (number ^ byte) * 16777619 % 2**32
    return number / 2**32


class Session:
    """A reader's state, shared by its connections."""

    def __init__(self, position: Position | None, options: Options) -> None:
        self.options = options
        self.merge = Merge(position, order=options.order)
        self.receipts = Receipts()
        self.inbox = Inbox(deepcopy(position or {}), self._finished)
        self.client_id: str | None = None
        self._advice = Advice()

    @property
    def keep_alive_s(self) -> float:
        """The seconds between pings: as configured, or as the server advises."""
        return self.options.keep_alive_s or self._advice.keep_alive_seconds or KEEP_ALIVE_S

    @property
    def spread_s(self) -> float:
        """Over how many seconds clients spread what all of them do at once."""
        known = (self.options.spread_s, self._advice.spread_seconds, SPREAD_S)
        return next(seconds for seconds in known if seconds is not None)

    def life_s(self) -> float:
        """Return the age (s) at which a connection is replaced.

        It is the same for all connections of a named client, so that the oldest one is replaced
        first: the server closes the oldest one if that makes one too many.
        """
        low, high = self.options.renewal_s
        if self.client_id is None:
            return self.options.random.uniform(low, high)
        return low + (high - low) * share(self.client_id)

    def take_page(self, answer: Recovered, asked: Position | None) -> bool:
        """Merge a page and return whether the reader has all that was recorded before it."""
        if self.client_id not in {None, answer.client_id}:
            self.receipts.clear()  # another client cannot acknowledge them
        self.client_id, self._advice = answer.client_id, answer.advice
        self.inbox.put(self.merge.recovered(answer, asked))
        return not answer.more and not self.merge.behind(answer.heads)

    def _finished(self, step: Step) -> None:
        if step.receipt is not None and step.of in {None, self.client_id}:
            self.receipts.add(step.receipt)
