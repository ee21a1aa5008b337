"""The dispatcher, with connections that reply at once or never."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters.connections_api import dispatcher
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
class Run:
    """One run of a dispatcher, and what it did.

    `answer` makes the reply from a connection id; None is no reply. `started` are the times and
    ids of the requests.
    """

    answer: Callable[[str], Reply | None] = lambda _: OK
    connections: list[FakeConnection] = field(default_factory=list)
    started: list[tuple[float, str]] = field(default_factory=list)
    replied: list[tuple[str, int | None]] = field(default_factory=list)
    dispatcher: Dispatcher | None = None

    def dispatch(
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
        """Run `calls`. `stop` is in s from now."""

        def note(call: Call, reply: Reply) -> None:
            self.replied.append((call.connection_id, reply.status))

        self.dispatcher = Dispatcher(
            calls=iter(calls),
            on_reply=on_reply or note,
            retry=retry,
            sign=lambda call, _spare: call.connection_id,  # type: ignore[arg-type, return-value] # fake
            connect=lambda: FakeConnection(self),  # type: ignore[arg-type, return-value] # same
            concurrency=concurrency,
            timeout=timeout,
            interval=interval,
            stop=time.monotonic() + stop,
        )
        return self.dispatcher.run()

    @property
    def ids(self) -> list[str]:
        """The connection ids of the requests, in order."""
        return [name for _, name in self.started]


class FakeConnection:
    """A pooled connection; a request is just the id."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.closed = False
        self.sent = True
        self.spare = None
        run.connections.append(self)

    def send(self, request: Any, done: Callable[[Reply], None]) -> None:
        self.run.started.append((time.monotonic(), request))
        reply = self.run.answer(request)
        if reply is not None:
            done(reply)

    def close(self) -> None:
        self.closed = True


def calls(count: int) -> Iterator[Call]:
    return (Call("GET", str(number)) for number in range(count))


def slowly(first: str, *rest: str, seconds: float = 0.1) -> Iterator[Call]:
    """Yield calls, the second one late, as when the next page of the table takes a while."""
    end = time.monotonic() + seconds
    yield Call("GET", first)
    while time.monotonic() < end:
        pass
    for name in rest:
        yield Call("GET", name)


def busy_is_retried(delay: float) -> Retry:
    return lambda reply, _: delay if reply is BUSY else None


def test_each_call_is_replied_to_once() -> None:
    run = Run()

    rest = run.dispatch(calls(100))

    assert sorted(run.replied) == sorted((str(number), 200) for number in range(100))
    assert list(rest) == []
    assert all(connection.closed for connection in run.connections)


def test_without_calls_no_connection_is_opened() -> None:
    run = Run()

    assert list(run.dispatch([])) == []
    assert run.connections == []


def test_no_more_calls_are_taken_than_are_in_flight() -> None:
    """A million calls need no memory."""
    run = Run()
    taken = itertools.count(1)
    last_taken = 0
    ahead: list[int] = []

    def counted() -> Iterator[Call]:
        nonlocal last_taken
        for call in calls(1_000_000):
            last_taken = next(taken)
            yield call

    def on_reply(_call: Call, _reply: Reply) -> None:
        ahead.append(last_taken - len(ahead))
        if len(ahead) == 1000:
            raise StopRunError

    with pytest.raises(StopRunError):
        run.dispatch(counted(), on_reply=on_reply)

    assert max(ahead) <= 4
    assert len(run.connections) <= 4


def test_past_the_deadline_nothing_starts() -> None:
    run = Run()

    rest = run.dispatch(calls(3), stop=-1.0)

    assert run.started == []
    assert [call.connection_id for call in rest] == ["0", "1", "2"]


def test_a_call_that_is_produced_after_the_deadline_is_returned() -> None:
    run = Run()

    rest = run.dispatch(slowly("early", "late", "later"), concurrency=1, stop=0.1)

    assert run.ids == ["early"]
    assert [call.connection_id for call in rest] == ["late", "later"]


def test_at_the_deadline_a_call_that_waits_for_a_retry_ends_with_its_last_reply() -> None:
    run = Run(answer=lambda name: BUSY if name == "0" else OK)

    rest = run.dispatch(calls(3), retry=busy_is_retried(0.01), stop=0.1)

    assert sorted(run.replied) == [("0", 429), ("1", 200), ("2", 200)]
    assert run.ids.count("0") > 1
    assert list(rest) == []


def test_a_retry_past_the_deadline_is_not_waited_for() -> None:
    run = Run(answer=lambda _: BUSY)

    run.dispatch(calls(1), retry=busy_is_retried(LONG * 2))

    assert run.replied == [("0", 429)]


def test_the_retry_policy_gets_the_number_of_attempts_of_each_call() -> None:
    run = Run(answer=lambda _: BUSY)
    asked: list[int] = []

    def twice(_: Reply, attempts: int) -> float | None:
        asked.append(attempts)
        return 0.0 if attempts < 3 else None

    run.dispatch(calls(2), retry=twice)

    assert sorted(asked) == [1, 1, 2, 2, 3, 3]
    assert sorted(run.replied) == [("0", 429), ("1", 429)]


def test_while_too_many_calls_wait_for_a_retry_no_new_one_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An API that throttles everything does not fill the memory."""
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 10)
    seen: set[str] = set()
    waiting: set[str] = set()
    most = 0

    def refuse_first(name: str) -> Reply:
        nonlocal most
        waiting.symmetric_difference_update({name})
        most = max(most, len(waiting))
        first = name not in seen
        seen.add(name)
        return BUSY if first else OK

    run = Run(answer=refuse_first)

    run.dispatch(calls(100), retry=busy_is_retried(0.001))

    assert most <= 10 + 4  # those that were in flight when the tenth was refused
    assert len(run.replied) == 100


def test_requests_and_retries_keep_the_rate() -> None:
    turns = itertools.count()
    run = Run(answer=lambda _: BUSY if next(turns) == 2 else OK)

    run.dispatch(calls(8), interval=0.02, retry=busy_is_retried(0.0))

    times = [when for when, _ in run.started]
    assert len(times) == 9
    for (first, earlier), (last, later) in itertools.combinations(enumerate(times), 2):
        assert later - earlier > 0.02 * (last - first) - dispatcher.CATCH_UP_S - 0.001


@pytest.mark.parametrize(("catch_up", "made_up"), [(LONG, True), (0.0, False)])
def test_starts_that_come_late_are_made_up_within_limits(
    monkeypatch: pytest.MonkeyPatch, catch_up: float, *, made_up: bool
) -> None:
    """The next start is due as if no call had been late."""
    monkeypatch.setattr(dispatcher, "CATCH_UP_S", catch_up)
    run = Run()
    before = time.monotonic()

    run.dispatch(slowly("first", "late", "later"), interval=0.01)

    assert run.dispatcher is not None
    due = run.dispatcher.next_start - 3 * 0.01
    assert before <= due
    assert (due < run.started[0][0] + 0.05) == made_up


def test_a_call_without_a_reply_times_out_and_its_connection_is_replaced() -> None:
    run = Run(answer=lambda name: None if name == "0" else OK)

    run.dispatch(calls(10), concurrency=1, timeout=0.05)

    assert run.replied == [("0", None), *((str(number), 200) for number in range(1, 10))]
    assert len(run.connections) == 2
    assert all(connection.closed for connection in run.connections)


def test_a_reply_after_the_timeout_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    late: list[Callable[[Reply], None]] = []
    send = FakeConnection.send

    def send_late(self: FakeConnection, request: Any, done: Callable[[Reply], None]) -> None:
        if request == "0":
            late.append(done)
            return
        while late:
            late.pop()(OK)
        send(self, request, done)

    monkeypatch.setattr(FakeConnection, "send", send_late)

    run.dispatch(calls(3), concurrency=1, timeout=0.05)

    assert run.replied == [("0", None), ("1", 200), ("2", 200)]
    assert len(run.connections) == 2


def test_a_reply_that_arrives_while_the_next_call_is_produced_has_not_timed_out() -> None:
    run = Run()

    run.dispatch(slowly("0", "1"), timeout=0.05)

    assert sorted(run.replied) == [("0", 200), ("1", 200)]


def test_an_error_of_the_calls_is_raised_after_the_calls_in_flight() -> None:
    run = Run()

    def broken() -> Iterator[Call]:
        yield from calls(3)
        raise StopRunError

    with pytest.raises(StopRunError):
        run.dispatch(broken())

    assert sorted(run.replied) == [("0", 200), ("1", 200), ("2", 200)]
    assert all(connection.closed for connection in run.connections)


def test_after_an_error_a_call_that_waits_for_a_retry_ends_with_its_last_reply() -> None:
    run = Run(answer=lambda _: BUSY)

    def broken() -> Iterator[Call]:
        yield from calls(1)
        raise StopRunError

    with pytest.raises(StopRunError):
        run.dispatch(broken(), concurrency=1, retry=busy_is_retried(LONG / 2))

    assert run.replied == [("0", 429)]


def test_an_error_of_on_reply_is_raised_after_the_other_replies() -> None:
    run = Run()
    source = calls(100)
    replied: list[str] = []

    def fail_on_the_second(call: Call, _: Reply) -> None:
        replied.append(call.connection_id)
        if len(replied) == 2:
            raise StopRunError

    with pytest.raises(StopRunError):
        run.dispatch(source, on_reply=fail_on_the_second)

    assert sorted(replied) == sorted(run.ids) == ["0", "1", "2", "3"]
    assert next(source).connection_id == "4"
    assert all(connection.closed for connection in run.connections)
