"""Recording a notification ahead of its posts."""

import json
import threading
import time
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import ALL, Place
from chalicelib.services import recording
from chalicelib.services.recording import Recording, continued

ENVELOPE = b'{"type":"notification"}'
LOST = HistoryError("TransactWriteItems", "History", "ReadTimeoutError", "lost", is_lost=True)


class Memory:
    """A history in memory. `fail` are the streams that cannot be written."""

    table = "History"

    def __init__(self, *fail: str) -> None:
        self.fail = fail
        self.appended: list[str] = []
        self.deadlines: list[float] = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()
        self.together = threading.Barrier(1)

    def until(self, deadline: Deadline) -> "Memory":
        self.deadlines.append(deadline.left())
        return self

    def append(self, stream: str, *_: object) -> tuple[Place, bool]:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.together.wait(30)
        with self.lock:
            self.at_once -= 1
            self.appended.append(stream)
        if stream in self.fail:
            raise LOST
        return Place(stream, 7, 6, 5), True


def record(
    history: Any,
    client_ids: tuple[str, ...] | None = None,
    seconds: float = 600.0,
    **fields: Any,
) -> Recording:
    """Return the recording of a notification."""
    deadline = Deadline(time.monotonic() + seconds)
    return Recording(history, 3600, deadline, "id", ENVELOPE, client_ids, **fields)


def place_in(envelope: bytes) -> tuple[str, int] | None:
    """Return the stream and number in an envelope."""
    fields = json.loads(envelope)
    return (fields["stream"], fields["seq"]) if "stream" in fields else None


def test_everybody_gets_one_place() -> None:
    history = Memory()
    subject = record(history)

    envelopes = {subject.placed(0) for _ in range(3)}

    assert [place_in(each) for each in envelopes] == [("all", 7)]
    assert history.appended == [ALL]
    assert subject.recorded == 1


def test_each_named_client_has_a_place_in_its_own_stream() -> None:
    """Recorded once, also for a second pass over the clients."""
    history = Memory()
    subject = record(history, ("ada", "bob"))

    found = [place_in(subject.placed(number)) for number in (0, 1, 0, 1)]
    subject.close()

    assert found == [("own", 7)] * 4
    assert sorted(history.appended) == ["c#ada", "c#bob"]
    assert subject.recorded == 2


def test_many_clients_are_recorded_in_parallel_ahead_of_the_posts() -> None:
    """While the first one is posted to, the others are recorded."""
    history = Memory()
    history.together = threading.Barrier(recording.APPENDS_AT_ONCE)
    names = tuple(f"client-{number}" for number in range(recording.AHEAD))
    subject = record(history, names)

    subject.placed(0)
    subject.placed(recording.APPENDS_AT_ONCE - 1)
    subject.placed(recording.AHEAD - 1)
    subject.close()

    assert history.most == recording.APPENDS_AT_ONCE
    assert len(set(history.appended)) == len(history.appended) == len(names)


def test_a_delivery_that_continues_begins_at_its_client() -> None:
    history = Memory()
    subject = record(history, ("ada", "bob", "cyd"))

    subject.placed(1)
    subject.placed(2)
    subject.close()

    assert sorted(history.appended) == ["c#bob", "c#cyd"]


def test_after_a_failure_nothing_more_is_recorded() -> None:
    """What is left goes out without a place, which clients show at once."""
    history = Memory("c#bob")
    subject = record(history, ("ada", "bob", *(f"c{number}" for number in range(500))))

    first = place_in(subject.placed(0))
    rest = [place_in(subject.placed(number)) for number in range(1, 502)]
    subject.close()

    assert first == ("own", 7)
    assert rest[0] is None
    assert rest[-1] is None
    assert subject.failure is LOST
    assert len(history.appended) < 500


@pytest.mark.parametrize(
    ("seconds", "share"), [(600.0, recording.APPEND_S), (40.0, 20.0), (100.0, 50.0)]
)
def test_an_append_leaves_half_of_the_time_for_the_posts(seconds: float, share: float) -> None:
    history = Memory()

    record(history, seconds=seconds).placed(0)

    [left] = history.deadlines
    assert share - 5 < left <= share


def test_without_time_for_a_named_client_the_rest_is_continued() -> None:
    """It is no failure: the next invocation records it."""
    history = Memory()
    subject = record(history, ("ada",), seconds=7.9)

    with pytest.raises(HistoryError) as caught:
        subject.placed(0)
    subject.close()

    assert caught.value.code == "NotStarted"
    assert (subject.failure, history.appended) == (None, [])


@pytest.mark.parametrize("client_ids", [None, ("ada", "bob")])
def test_the_invocation_that_continues_knows_the_place(client_ids: tuple[str, ...] | None) -> None:
    """A place for everybody is handed on; those of named clients are found by the newest ids."""
    first = record(Memory(), client_ids)
    placed = first.placed(0)
    first.close()
    event = json.loads(json.dumps(first.to_json()))
    history = Memory()
    position, is_left = continued(event)

    following = record(history, client_ids, position=position, is_left=is_left)

    assert following.placed(0) == placed
    following.close()
    assert ("c#ada" in history.appended) is (client_ids is not None)
    assert ALL not in history.appended


@pytest.mark.parametrize("client_ids", [None, ("ada", "bob")])
def test_an_unrecorded_delivery_continues_unrecorded(client_ids: tuple[str, ...] | None) -> None:
    """The first invocation fails for it, and Lambda repeats that one, not the continuations."""
    first = record(Memory(ALL, "c#ada", "c#bob"), client_ids)
    first.placed(0)
    first.close()
    history = Memory()
    position, is_left = continued(first.to_json())

    second = record(history, client_ids, position=position, is_left=is_left)

    assert second.placed(0) == ENVELOPE
    assert (history.appended, second.failure) == ([], None)
    assert second.to_json() == first.to_json()


def test_a_delivery_of_the_version_before_continues() -> None:
    """Its event may lie in the queue of failed notifications for days."""
    assert continued({"apis": [], "tour": 0, "client": 0, "after": None}) == (None, False)


@pytest.mark.parametrize("position", [5, [1, 2], [1, 2, "x"], "abc", {"a": 1}])
def test_an_invalid_place_is_refused(position: object) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        continued({"position": position})
