"""When calls begin, with lanes that do what a test says."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.connections_api import dispatcher as dispatch
from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.dispatcher import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chalicelib.adapters.connections_api.calls import Retry

LONG = 30.0  # s; a test that waits for it has failed
OK = Reply(200, "", 0.01)
BUSY = Reply(429, "", 0.01)


class StopRunError(Exception):
    """Raised by a test's own callback."""


@dataclass
class FakeLane:
    """A lane that gives, at once, the reply that `answer` makes of a connection id, if any."""

    answer: Callable[[str], Reply | None]
    begun: list[tuple[float, str]]
    closed: bool = False
    sent: bool = True

    def send(self, request: Any, done: Callable[[Reply], None]) -> None:
        """Take the id of the connection for the request."""
        self.begun.append((time.monotonic(), request))
        reply = self.answer(request)
        if reply is not None:
            done(reply)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


@dataclass
class Bench:
    """One dispatch, and what it did."""

    answer: Callable[[str], Reply | None] = lambda _: OK
    lanes: list[FakeLane] = field(default_factory=list)
    begun: list[tuple[float, str]] = field(default_factory=list)
    replied: list[tuple[str, int | None]] = field(default_factory=list)

    def run(
        self,
        calls: Iterable[Call],
        *,
        on_reply: Callable[[Call, Reply], None] | None = None,
        retry: Retry | None = None,
        concurrency: int = 4,
        timeout: float = LONG,
        interval: float = 0.0,
        stop: float = LONG,
    ) -> Iterator[Call]:
        """Run calls; `stop` is in s from now."""

        def note(call: Call, reply: Reply) -> None:
            self.replied.append((call.connection_id, reply.status))

        return Dispatcher(
            calls=iter(calls),
            on_reply=on_reply or note,
            retry=retry,
            sign=lambda call: call.connection_id,  # type: ignore[arg-type, return-value] # fake
            connect=self._open,  # type: ignore[arg-type] # same
            concurrency=concurrency,
            timeout=timeout,
            interval=interval,
            stop=time.monotonic() + stop,
        ).run()

    def _open(self) -> FakeLane:
        self.lanes.append(FakeLane(self.answer, self.begun))
        return self.lanes[-1]

    @property
    def ids(self) -> list[str]:
        """The connections of the requests begun, in order."""
        return [name for _, name in self.begun]


def calls(count: int) -> Iterator[Call]:
    """Give `count` calls."""
    return (Call("GET", str(number)) for number in range(count))


def test_every_call_is_replied_to_once() -> None:
    """With nothing in the way, all are made and nothing is left."""
    bench = Bench()

    rest = bench.run(calls(100))

    assert sorted(bench.replied) == sorted((str(number), 200) for number in range(100))
    assert list(rest) == []
    assert all(lane.closed for lane in bench.lanes)


def test_without_calls_there_is_nothing_to_do() -> None:
    """An empty table ends the run at once, without a connection."""
    bench = Bench()

    assert list(bench.run([])) == []
    assert bench.lanes == []


def test_calls_are_taken_only_when_they_begin() -> None:
    """However many there are, no more are held than are in flight."""
    # GIVEN a million calls, counted as they are taken
    bench = Bench()
    taken = 0
    ahead: list[int] = []

    def counted() -> Iterator[Call]:
        nonlocal taken
        for call in calls(1_000_000):
            taken += 1
            yield call

    def on_reply(_call: Call, _reply: Reply) -> None:
        ahead.append(taken - len(ahead))
        if len(ahead) == 1000:
            raise StopRunError

    # WHEN a thousand have been replied to
    with pytest.raises(StopRunError):
        bench.run(counted(), on_reply=on_reply)

    # THEN no more had been taken at any time than were in flight
    assert max(ahead) <= 4
    assert len(bench.lanes) <= 4


def test_past_the_deadline_nothing_begins() -> None:
    """All calls are given back, none of them taken."""
    bench = Bench()

    rest = bench.run(calls(3), stop=-1.0)

    assert bench.begun == []
    assert [call.connection_id for call in rest] == ["0", "1", "2"]


def test_a_call_that_came_too_late_is_given_back() -> None:
    """A page that takes longer than the time left costs no call."""
    bench = Bench()
    end = time.monotonic() + 0.1

    def slow() -> Iterator[Call]:
        yield Call("GET", "early")
        while time.monotonic() < end:
            pass  # a page is on its way
        yield Call("GET", "late")
        yield Call("GET", "later")

    rest = bench.run(slow(), concurrency=1, stop=0.1)

    assert bench.ids == ["early"]
    assert [call.connection_id for call in rest] == ["late", "later"]


def test_at_the_deadline_what_waits_for_another_try_has_its_last_reply() -> None:
    """It was begun, so it is replied to and not given back."""
    bench = Bench(answer=lambda name: BUSY if name == "0" else OK)

    rest = bench.run(calls(3), retry=lambda reply, _: 0.01 if reply is BUSY else None, stop=0.1)

    assert sorted(bench.replied) == [("0", 429), ("1", 200), ("2", 200)]
    assert bench.ids.count("0") > 1
    assert list(rest) == []


def test_another_try_past_the_deadline_is_not_waited_for() -> None:
    """The reply is final at once."""
    bench = Bench(answer=lambda _: BUSY)

    bench.run(calls(1), retry=lambda *_: LONG * 2)

    assert bench.replied == [("0", 429)]


def test_the_policy_is_told_the_number_of_tries() -> None:
    """It counts from 1 for each call alone."""
    bench = Bench(answer=lambda _: BUSY)
    asked: list[int] = []

    def twice_more(_: Reply, tries: int) -> float | None:
        asked.append(tries)
        return 0.0 if tries < 3 else None

    bench.run(calls(2), retry=twice_more)

    assert sorted(asked) == [1, 1, 2, 2, 3, 3]
    assert sorted(bench.replied) == [("0", 429), ("1", 429)]


def test_while_too_many_calls_wait_no_new_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that refuses everything does not fill the memory."""
    # GIVEN an API that refuses every first try
    monkeypatch.setattr(dispatch, "MAX_WAITING", 10)
    seen: set[str] = set()
    waiting: set[str] = set()
    most = 0

    def refuse_first(name: str) -> Reply:
        nonlocal most
        if name in seen:
            waiting.discard(name)
            return OK
        seen.add(name)
        waiting.add(name)
        most = max(most, len(waiting))
        return BUSY

    bench = Bench(answer=refuse_first)

    # WHEN many calls are made
    bench.run(calls(100), retry=lambda reply, _: 0.001 if reply is BUSY else None)

    # THEN those waiting never passed the limit by more than what was in flight
    assert most <= 10 + 4
    assert len(bench.replied) == 100


def test_requests_keep_the_rate() -> None:
    """Two requests are never closer than the interval, other tries included."""
    turns = itertools.count()
    bench = Bench(answer=lambda _: BUSY if next(turns) == 2 else OK)

    bench.run(calls(8), interval=0.02, retry=lambda reply, _: 0.0 if reply is BUSY else None)

    times = [when for when, _ in bench.begun]
    assert len(times) == 9
    assert all(later - earlier > 0.019 for earlier, later in itertools.pairwise(times))


def test_a_call_without_a_reply_is_given_up_on_and_its_lane_closed() -> None:
    """Its lane carries nothing more; another takes its place."""
    bench = Bench(answer=lambda name: None if name == "0" else OK)

    bench.run(calls(10), concurrency=1, timeout=0.05)

    assert bench.replied == [("0", None), *((str(number), 200) for number in range(1, 10))]
    assert len(bench.lanes) == 2
    assert all(lane.closed for lane in bench.lanes)


def test_a_reply_that_comes_after_the_timeout_is_dropped() -> None:
    """A call is replied to once, and the lane that was given up on is not used again."""
    # GIVEN a lane whose reply comes when the next call is sent
    late: list[Callable[[Reply], None]] = []
    bench = Bench()

    @dataclass
    class LateLane(FakeLane):
        def send(self, request: Any, done: Callable[[Reply], None]) -> None:
            self.begun.append((time.monotonic(), request))
            if request == "0":
                late.append(done)
                return
            for earlier in late:
                earlier(OK)
            late.clear()
            done(OK)

    def open_late() -> FakeLane:
        bench.lanes.append(LateLane(bench.answer, bench.begun))
        return bench.lanes[-1]

    bench._open = open_late  # type: ignore[method-assign] # the lane of this test

    # WHEN it has been given up on and the others are made
    bench.run(calls(3), concurrency=1, timeout=0.05)

    # THEN it had its one reply before
    assert bench.replied == [("0", None), ("1", 200), ("2", 200)]
    assert len(bench.lanes) == 2


def test_replies_that_came_while_the_calls_were_awaited_are_no_timeouts() -> None:
    """A slow page is not held against the requests in flight."""
    bench = Bench()

    def slow() -> Iterator[Call]:
        yield Call("GET", "0")
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass  # a page is on its way
        yield Call("GET", "1")

    bench.run(slow(), timeout=0.05)

    assert sorted(bench.replied) == [("0", 200), ("1", 200)]


def test_an_error_of_the_calls_is_raised_after_what_is_in_flight() -> None:
    """What was begun is replied to, and the lanes are closed."""
    bench = Bench()

    def broken() -> Iterator[Call]:
        yield from calls(3)
        raise StopRunError

    with pytest.raises(StopRunError):
        bench.run(broken())

    assert sorted(bench.replied) == [("0", 200), ("1", 200), ("2", 200)]
    assert all(lane.closed for lane in bench.lanes)


def test_an_error_of_on_reply_is_raised_after_what_is_in_flight() -> None:
    """The other replies are still given, and no further call is taken."""
    bench = Bench()
    source = calls(100)
    replied: list[str] = []

    def fail_on_the_second(call: Call, _: Reply) -> None:
        replied.append(call.connection_id)
        if len(replied) == 2:
            raise StopRunError

    with pytest.raises(StopRunError):
        bench.run(source, on_reply=fail_on_the_second)

    assert sorted(replied) == sorted(bench.ids) == ["0", "1", "2", "3"]
    assert next(source).connection_id == "4"
    assert all(lane.closed for lane in bench.lanes)
