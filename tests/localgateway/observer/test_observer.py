"""The observer's list of events, and what it derives from them."""

import json
import time
from typing import Any

import pytest

from localgateway.observer.events import (
    Closed,
    ConnectionsCall,
    Ended,
    EnvironmentChanged,
    Event,
    Finished,
    HandshakeBegan,
    Logged,
    Opened,
    Refused,
    Replied,
    Reported,
    Started,
)
from localgateway.observer.observer import CONTENT, Observer, origin

ID = "abcdefghijklmno="
BEGAN = HandshakeBegan(ID, 1, "127.0.0.1", 5, "curl", {}, None, None)


def change(number: int) -> Event:
    """Return a small event."""
    return EnvironmentChanged("connect", number, "started")


def test_entries_are_numbered_and_returned_in_order() -> None:
    observer = Observer()
    for number in range(5):
        observer.record(change(number))

    assert [entry.seq for entry in observer.after(0, 100)] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in observer.after(3, 100)] == [4, 5]
    assert [entry.seq for entry in observer.after(1, 2)] == [2, 3]
    assert observer.after(5, 100) == []
    entry = observer.entry(2)
    assert entry is not None
    assert entry.event == change(1)


def test_the_oldest_entries_go() -> None:
    observer = Observer(entries=3)
    for number in range(10):
        observer.record(change(number))

    assert [entry.seq for entry in observer.after(0, 100)] == [8, 9, 10]
    assert observer.entry(7) is None
    assert observer.entry(11) is None


@pytest.mark.parametrize(
    "event",
    [
        Logged(1, "connect", b"x" * 1000),
        Replied(ID, b"x" * 1000),
        ConnectionsCall(ID, "POST", 200, 1.0, b"x" * 1000),
        Finished(1, "connect", "ok", 1.0, False, 1, b"x" * 1000),
        Reported("published", {"message": "x" * 1000}),
        Reported("published", {"messages": ["x" * 500, {"x" * 500: 5}]}),
        HandshakeBegan(ID, 1, "::1", 5, "x" * 1000, {}, None, None),
        HandshakeBegan(ID, 1, "::1", 5, None, {"x" * 500: "x" * 500}, None, None),
        HandshakeBegan(ID, 1, "::1", 5, None, {}, "x" * 1000, None),
        HandshakeBegan(ID, 1, "::1", 5, None, {}, None, "x" * 1000),
        Refused(ID, 403, "x" * 1000, 1.0),
        Opened(ID, "x" * 1000, 1.0),
        Started(1, "work", "invoke", "x" * 500, "x" * 500, None, b"{}"),
    ],
)
def test_memory_is_bounded_by_contents(event: Event) -> None:
    observer = Observer(memory=5000)
    for _ in range(100):
        observer.record(event)

    assert 0 < len(observer.after(0, 1000)) <= 5


def test_a_long_content_is_cut() -> None:
    observer = Observer()

    observer.started("work", {}, b"x" * (CONTENT + 1))
    [entry] = observer.after(0, 1)

    assert len(getattr(entry.event, "event", b"")) == CONTENT


def test_entries_of_an_invocation_belong_together() -> None:
    observer = Observer()
    one = observer.started("work", {}, b"{}")
    other = observer.started("work", {}, b"{}")
    observer.logged("work", other, b"hello")

    assert one != other
    assert [entry.event.kind for entry in observer.of_invocation(other)] == ["started", "logged"]


def test_credentials_of_a_handshake_do_not_enter() -> None:
    """Nor those of other events, of log lines."""
    observer = Observer()
    secret = "hunter2-and-more"
    handshake: Any = {
        "headers": {"Authorization": secret},
        "multiValueHeaders": {"Authorization": [secret]},
        "requestContext": {"connectionId": ID, "routeKey": "$connect"},
    }
    message = {"requestContext": {"connectionId": ID}, "body": json.dumps({"token": secret})}

    for event in (handshake, message):
        observer.started("connect", event, json.dumps(event).encode())
    observer.logged("connect", 1, json.dumps({"password": secret}).encode())

    assert secret not in repr(observer.after(0, 10))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"requestContext": {"connectionId": ID, "routeKey": "$connect"}},
            ("websocket", "$connect", ID, None),
        ),
        (
            {"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "m"}}]},
            ("sns", None, None, "m"),
        ),
        ({"Records": [{"eventSource": "aws:sqs"}]}, ("sqs", None, None, None)),
        ({"Records": [{"eventSource": {}}]}, ("invoke", None, None, None)),
        ({"Records": [{"EventSource": "aws:sns", "Sns": ["m"]}]}, ("sns", None, None, None)),
        (
            {"detail-type": "Scheduled Event", "source": "aws.events"},
            ("schedule", None, None, None),
        ),
        ({"detail-type": "x", "source": "app"}, ("events", None, None, None)),
        ({"clientId": "ada"}, ("invoke", None, None, None)),
        ({"requestContext": "x", "Records": []}, ("invoke", None, None, None)),
        ({"Records": ["x"]}, ("invoke", None, None, None)),
        ([1], ("invoke", None, None, None)),
    ],
)
def test_the_origin_of_an_event(event: Any, expected: Any) -> None:
    assert origin(event) == expected


def test_a_socket_goes_through_its_phases() -> None:
    observer = Observer()
    phases = []

    for event in (BEGAN, Opened(ID, None, 1.0), Closed(ID, 1000, "", 1.0)):
        observer.record(event)
        phases.append(observer.sockets.current[ID].phase)
    observer.record(Ended(ID, "delivered"))

    assert phases == ["connecting", "open", "closing"]
    assert observer.sockets.current == {}
    assert observer.sockets.ended[ID] <= time.time() * 1000
    assert observer.sockets.changed == {ID}


def test_a_refused_handshake_is_over() -> None:
    observer = Observer()

    observer.record(BEGAN)
    observer.record(Refused(ID, 403, "from $connect", 1.0))

    assert observer.sockets.current == {}
