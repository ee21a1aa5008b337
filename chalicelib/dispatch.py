"""When each call begins: how many at once, how many a second, which again, and until when."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.management import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.lanes import Lane, SignedRequest
    from chalicelib.management import Call, OnReply, Retry

# Calls that wait for another try are held in memory. With this many, no new call is taken: so
# many refusals at once mean that the whole API is throttled, not that one client is slow.
MAX_WAITING = 1000


@dataclass(eq=False)
class _Try:
    call: Call
    number: int  # from 1
    lane: Lane
    expires: float


@dataclass(order=True)
class _Waiting:
    due: float
    order: int  # of arrival, so that calls are never compared
    call: Call
    tries: int
    reply: Reply


@dataclass
class Dispatch:
    """One run of calls over lanes.

    Lanes put replies into `replies`, on the runtime's thread; the caller's does all the rest.
    """

    calls: Iterator[Call]
    on_reply: OnReply
    retry: Retry | None
    sign: Callable[[Call], SignedRequest]
    open_lane: Callable[[], Lane]
    concurrency: int
    timeout: float
    interval: float  # s between two requests
    stop: float  # no request begins after it
    next_start: float = 0.0
    taking: bool = True
    replies: queue.SimpleQueue[tuple[_Try, Reply]] = field(default_factory=queue.SimpleQueue)
    in_flight: dict[_Try, None] = field(default_factory=dict)  # oldest first: one timeout for all
    waiting: list[_Waiting] = field(default_factory=list)  # a heap
    order: Iterator[int] = field(default_factory=itertools.count)
    idle: list[Lane] = field(default_factory=list)

    def run(self) -> Iterator[Call]:
        """Make the calls, reply to each, and give those that were not begun."""
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._close_lanes)
            at_the_end.callback(self._settle_all)
            while self._begin():
                self._settle()
        return self.calls

    def _begin(self) -> bool:
        """Begin what may begin now; tell whether there is anything left to wait for."""
        while len(self.in_flight) < self.concurrency:
            now = time.monotonic()
            if now >= self.stop:
                self._stop()
            if now < self.next_start:
                break
            if self.waiting and self.waiting[0].due <= now:
                again = heapq.heappop(self.waiting)
                self._send(again.call, again.tries + 1)
            elif call := self._take():
                self._send(call, 1)
            else:
                break
        return bool(self.in_flight or self.waiting or self.taking)

    def _take(self) -> Call | None:
        if not self.taking or len(self.waiting) >= MAX_WAITING:
            return None
        call = next(self.calls, None)
        if call and time.monotonic() >= self.stop:  # the iterable was slow to give it
            self.calls = itertools.chain([call], self.calls)
            call = None
        self.taking = call is not None
        return call

    def _send(self, call: Call, number: int) -> None:
        request = self.sign(call)
        lane = self.idle.pop() if self.idle else self.open_lane()
        now = time.monotonic()
        self.next_start = max(self.next_start, now) + self.interval
        attempt = _Try(call, number, lane, now + self.timeout)
        self.in_flight[attempt] = None
        lane.send(request, lambda reply: self.replies.put((attempt, reply)))

    def _settle(self) -> None:
        """Settle the replies that have come by the next event, then the tries that are too old."""
        for attempt, reply in self._arrived(self._next_event() - time.monotonic()):
            if attempt in self.in_flight:  # else it came too late, and was settled without
                del self.in_flight[attempt]
                self.idle.append(attempt.lane)
                self._conclude(attempt, reply)
        now = time.monotonic()
        while (oldest := next(iter(self.in_flight), None)) and oldest.expires <= now:
            del self.in_flight[oldest]
            oldest.lane.close()
            error = f"no answer within {self.timeout:g} s"
            self._conclude(oldest, Reply(None, error, self.timeout, oldest.lane.sent))

    def _arrived(self, wait: float) -> Iterator[tuple[_Try, Reply]]:
        with contextlib.suppress(queue.Empty):
            yield self.replies.get(timeout=max(0, wait))
            while True:
                yield self.replies.get_nowait()

    def _next_event(self) -> float:
        """Give the time when something is to be done even if no reply comes."""
        times = [attempt.expires for attempt in itertools.islice(self.in_flight, 1)]
        if len(self.in_flight) < self.concurrency:
            if self.waiting:
                times.append(max(self.waiting[0].due, self.next_start))
            if self.taking:
                times.append(self.next_start)
        return min(times)

    def _conclude(self, attempt: _Try, reply: Reply) -> None:
        delay = self.retry(reply, attempt.number) if self.retry else None
        due = time.monotonic() + (delay or 0)
        if delay is None or due >= self.stop:
            self.on_reply(attempt.call, reply)
        else:
            again = _Waiting(due, next(self.order), attempt.call, attempt.number, reply)
            heapq.heappush(self.waiting, again)

    def _stop(self) -> None:
        """Begin nothing more; what waits for another try has had its last."""
        self.stop = -math.inf
        self.taking = False
        while self.waiting:
            given_up = self.waiting.pop()
            self.on_reply(given_up.call, given_up.reply)

    def _settle_all(self) -> None:
        self._stop()
        while self.in_flight:
            self._settle()

    def _close_lanes(self) -> None:
        for lane in [*self.idle, *(attempt.lane for attempt in self.in_flight)]:
            lane.close()
