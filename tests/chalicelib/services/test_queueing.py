"""Queueing the named clients that a notification may not have reached."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.domain.errors import HistoryError, QueueError
from chalicelib.domain.history import Place
from chalicelib.domain.notification import Notification
from chalicelib.domain.unclaimed import Waiting, parse
from chalicelib.services.queueing import Queueing

DELAY_S = 30
NO_TIME = QueueError("SendMessage", "Q", NOT_STARTED, "no time left")
DENIED = QueueError("SendMessage", "Q", "AccessDenied", "no")


@dataclass
class Memory:
    """A queue in memory. It takes the first `takes` messages and then raises `failure`."""

    takes: int = 1000
    failure: QueueError = NO_TIME
    sent: list[tuple[str, int]] = field(default_factory=list)

    def send(self, text: str, delay_s: int) -> None:
        if len(self.sent) == self.takes:
            raise self.failure
        self.sent.append((text, delay_s))

    def clients(self) -> list[tuple[Waiting, ...]]:
        """Return the clients of each message."""
        return [parse(text).clients for text, _ in self.sent]


@dataclass
class Places:
    """The places of a recorded notification: the numbers of clients, or None."""

    seqs: Sequence[int | None]
    failure: HistoryError | None = None

    def place(self, client: int) -> Place | None:
        seq = self.seqs[client]
        if seq is None and self.failure:
            raise self.failure
        return None if seq is None else Place("c#x", seq, 0, 1)


def queueing(
    queue: Memory,
    recording: Places | None,
    names: Sequence[str],
    *,
    receipt: bool = False,
    size: int = 100,
    done: int = 0,
) -> Queueing:
    """Return what queues a notification for these clients."""
    notification = Notification("id", 1, None, "hello", tuple(names), receipt)
    return Queueing(notification, size, queue, DELAY_S, recording, done)  # type: ignore[arg-type] # fakes


@pytest.mark.parametrize(
    ("receipt", "clients"),
    [
        (False, (Waiting("bob", 6, is_posted=False),)),
        (True, (Waiting("ada", 5, is_posted=True), Waiting("bob", 6, is_posted=False))),
    ],
)
def test_those_wait_that_were_not_reached_and_all_with_a_receipt(
    *, receipt: bool, clients: tuple[Waiting, ...]
) -> None:
    queue = Memory()
    subject = queueing(queue, Places([5, 6]), ["ada", "bob"], receipt=receipt)

    assert subject.run({0})

    [(text, delay_s)] = queue.sent
    assert delay_s == DELAY_S
    assert parse(text).clients == clients
    assert parse(text).receipt is receipt
    assert (subject.sent, subject.failure) == (len(clients), None)


def test_nobody_waits_for_a_notification_that_reached_everybody() -> None:
    queue = Memory()

    assert queueing(queue, Places([5]), ["ada"]).run({0})

    assert queue.sent == []


def test_without_a_history_nobody_can_fetch_it_later() -> None:
    """So the clients that were not reached are announced at once."""
    queue = Memory()

    assert queueing(queue, None, ["ada", "bob"]).run({1})

    [(text, delay_s)] = queue.sent
    assert (parse(text).clients, delay_s) == ((Waiting("ada", None, is_posted=False),), 0)


def test_a_client_for_whom_it_is_not_recorded_is_left_to_the_repeat() -> None:
    """Lambda repeats the invocation that could not record it."""
    queue = Memory()

    assert queueing(queue, Places([5, None]), ["ada", "bob"]).run(set())

    assert queue.clients() == [(Waiting("ada", 5, is_posted=False),)]


@pytest.mark.parametrize(("size", "counts"), [(100, [100, 100, 50]), (30_000, [33] * 7 + [19])])
def test_many_clients_go_into_several_messages(size: int, counts: list[int]) -> None:
    """Fewer into each if the notification is large."""
    queue = Memory()
    names = [f"client-{number}" for number in range(250)]

    assert queueing(queue, Places([5] * 250), names, size=size).run(set())

    assert [len(clients) for clients in queue.clients()] == counts
    assert [each.client_id for clients in queue.clients() for each in clients] == names


@pytest.mark.parametrize("takes", [0, 1, 2])
def test_the_rest_is_queued_when_there_is_time_again(takes: int) -> None:
    """Nobody is left out, and nobody queued twice."""
    names = [f"client-{number}" for number in range(250)]
    first, second = Memory(takes), Memory()
    subject = queueing(first, Places([5] * 250), names)

    assert not subject.run(set())
    assert subject.failure is None
    assert queueing(second, Places([5] * 250), names, done=subject.done).run(set())

    sent = [each.client_id for clients in first.clients() + second.clients() for each in clients]
    assert sent == names


def test_time_that_runs_out_before_a_client_is_recorded_is_no_failure() -> None:
    late = HistoryError("TransactWriteItems", "History", NOT_STARTED, "no time left")
    subject = queueing(Memory(), Places([None], late), ["ada"])

    assert not subject.run(set())
    assert (subject.done, subject.failure) == (0, None)


def test_a_queue_that_refuses_a_message_is_asked_no_more() -> None:
    """The invocation fails, and Lambda repeats it."""
    queue = Memory(1, DENIED)
    subject = queueing(queue, Places([5] * 300), [f"client-{number}" for number in range(300)])

    assert subject.run(set())

    assert subject.failure is DENIED
    assert len(queue.sent) == 1


def test_a_notification_for_a_great_many_clients_is_queued_in_no_time() -> None:
    """SNS's largest names some 40,000; looking at them must not take the time of the posts."""
    names = [f"{number:03x}" for number in range(40_000)]
    began = time.process_time()

    assert queueing(Memory(), Places([5] * 40_000), names).run(set(range(0, 40_000, 2)))

    assert time.process_time() - began < 5
