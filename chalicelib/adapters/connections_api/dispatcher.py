"""Schedules calls: concurrency, rate limit, retries and deadline."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.adapters.connections_api.calls import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.adapters.connections_api.calls import Call, OnReply, Retry
    from chalicelib.adapters.connections_api.pooled_connection import PooledConnection
    from chalicelib.adapters.connections_api.signing import SignedRequest

# Calls that wait for a retry are held in memory. With this many, no new call starts: so many
# refusals at once mean that the API is throttled, not that one client is slow.
MAX_WAITING = 1000
# Starts that are late by less than this (s) are made up, so that a function with a share of a CPU
# keeps its rate: it is woken up some ms late for each request.
CATCH_UP_S = 0.05


@dataclass(eq=False)
class _Attempt:
    call: Call
    number: int  # from 1
    connection: PooledConnection
    expires: float


@dataclass(order=True)
class _Retry:
    due: float
    order: int  # of arrival, so that calls are never compared
    call: Call
    attempts: int
    reply: Reply


@dataclass
class Dispatcher:
    """One run of calls over pooled connections.

    A connection puts its reply into `replies` on the runtime's thread. Everything else happens
    in the caller's thread.
    """

    calls: Iterator[Call]
    on_reply: OnReply
    retry: Retry | None
    sign: Callable[[Call, SignedRequest | None], SignedRequest]
    connect: Callable[[], PooledConnection]
    concurrency: int
    timeout: float
    interval: float  # s between two requests
    stop: float  # no request starts after it
    next_start: float = 0.0
    taking: bool = True
    replies: queue.SimpleQueue[tuple[_Attempt, Reply]] = field(default_factory=queue.SimpleQueue)
    # The oldest attempt comes first, because all have the same timeout.
    in_flight: dict[_Attempt, None] = field(default_factory=dict)
    waiting: list[_Retry] = field(default_factory=list)  # a heap
    order: Iterator[int] = field(default_factory=itertools.count)
    idle: list[PooledConnection] = field(default_factory=list)

    def run(self) -> Iterator[Call]:
        """Run the calls, report each reply, and return the calls never started."""
        self.next_start = time.monotonic()
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._close_connections)
            at_the_end.callback(self._settle_all)
            while self._start():
                self._settle()
        return self.calls

    def _start(self) -> bool:
        """Start the calls that may start now. Return whether anything is left to wait for."""
        while len(self.in_flight) < self.concurrency:
            now = time.monotonic()
            if now >= self.stop:
                self._stop()
            if now < self.next_start:
                break
            if self.waiting and self.waiting[0].due <= now:
                retry = heapq.heappop(self.waiting)
                if retry.call.has_lapsed:
                    self.on_reply(retry.call, retry.reply)
                else:
                    self._send(retry.call, retry.attempts + 1)
            elif call := self._take():
                self._send(call, 1)
            else:
                break
        return bool(self.in_flight or self.waiting or self.taking)

    def _take(self) -> Call | None:
        if not self.taking or len(self.waiting) >= MAX_WAITING:
            return None
        call = next(self.calls, None)
        if call and time.monotonic() >= self.stop:  # producing the call took too long
            self.calls = itertools.chain([call], self.calls)
            call = None
        self.taking = call is not None
        return call

    def _send(self, call: Call, number: int) -> None:
        spare = self.idle[-1].spare if self.idle else None
        request = self.sign(call, spare)
        connection = self.idle.pop() if self.idle else self.connect()
        now = time.monotonic()
        self.next_start = max(self.next_start, now - CATCH_UP_S) + self.interval
        attempt = _Attempt(call, number, connection, now + self.timeout)
        self.in_flight[attempt] = None
        connection.send(request, lambda reply: self.replies.put((attempt, reply)))

    def _settle(self) -> None:
        """Handle the replies received before the next event, then expire attempts."""
        for attempt, reply in self._received(self._next_event() - time.monotonic()):
            if attempt in self.in_flight:  # otherwise its timeout was reported before
                del self.in_flight[attempt]
                self.idle.append(attempt.connection)
                self._conclude(attempt, reply)
        now = time.monotonic()
        while (oldest := next(iter(self.in_flight), None)) and oldest.expires <= now:
            del self.in_flight[oldest]
            oldest.connection.close()
            error = f"no answer within {self.timeout:g} s"
            self._conclude(oldest, Reply(None, error, self.timeout, oldest.connection.sent))

    def _received(self, wait: float) -> Iterator[tuple[_Attempt, Reply]]:
        with contextlib.suppress(queue.Empty):
            yield self.replies.get(timeout=max(0, wait))
            while True:
                yield self.replies.get_nowait()

    def _next_event(self) -> float:
        """Return the time at which something is due even if no reply arrives."""
        times = [attempt.expires for attempt in itertools.islice(self.in_flight, 1)]
        if len(self.in_flight) < self.concurrency:
            if self.waiting:
                times.append(max(self.waiting[0].due, self.next_start))
            if self.taking and len(self.waiting) < MAX_WAITING:
                times.append(self.next_start)
        return min(times)

    def _conclude(self, attempt: _Attempt, reply: Reply) -> None:
        delay = self.retry(reply, attempt.number) if self.retry else None
        due = time.monotonic() + (delay or 0)
        if delay is None or due >= self.stop:
            self.on_reply(attempt.call, reply)
        else:
            retry = _Retry(due, next(self.order), attempt.call, attempt.number, reply)
            heapq.heappush(self.waiting, retry)

    def _stop(self) -> None:
        """Start no new calls and report those that wait for a retry with their last reply."""
        self.stop = -math.inf
        self.taking = False
        while self.waiting:
            retry = self.waiting.pop()
            self.on_reply(retry.call, retry.reply)

    def _settle_all(self) -> None:
        self._stop()
        while self.in_flight:
            self._settle()

    def _close_connections(self) -> None:
        for connection in [*self.idle, *(attempt.connection for attempt in self.in_flight)]:
            connection.close()
