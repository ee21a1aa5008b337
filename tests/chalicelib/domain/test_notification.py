"""A notification: what is read of an SNS event, and what clients receive."""

import bisect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.token_keys import MAX_SUBJECT_BYTES
from chalicelib.domain.admission import CLIENT_ID
from chalicelib.domain.errors import NotificationError
from chalicelib.domain.notification import (
    MAX_CLIENT_ID_BYTES,
    MAX_ENVELOPE_BYTES,
    Notification,
    from_sns,
)
from tests.support.notifications import MESSAGE_ID, SENT_AT, sns_event


def received(message: str, subject: str | None = None) -> dict[str, Any]:
    """Give what a client reads out of the envelope of a message, as a browser would."""
    envelope = from_sns(sns_event(message, subject)).envelope()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    fields: dict[str, Any] = json.loads(envelope.decode("utf-8"), parse_constant=refuse)
    return fields


def padded(size: int, filling: str = "x") -> Notification:
    """Give a notification whose envelope is so many bytes."""
    empty = Notification("id", SENT_AT, None, "")
    room = size - len(empty.envelope())
    message, rest = divmod(room, len(filling.encode()))
    return Notification("id", SENT_AT, None, filling * message + "x" * rest)


# What clients receive


def test_an_envelope_has_these_fields() -> None:
    """The id is SNS's, by which a client drops a repeat; the time is SNS's, in ms."""
    fields = received("hello", "Database down")

    assert fields == {
        "type": "notification",
        "id": MESSAGE_ID,
        "sentAt": SENT_AT,
        "subject": "Database down",
        "message": "hello",
    }


def test_no_subject_is_null() -> None:
    """The field is there all the same."""
    assert received("hello")["subject"] is None


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ('{"severity": 1, "tags": ["db", null]}', {"severity": 1, "tags": ["db", None]}),
        ("[1, 2.5]", [1, 2.5]),
        ("42", 42),
        ("true", True),
        ("null", None),
        ('"quoted"', "quoted"),
        (' {"a": "\\u00e4"} \n', {"a": "ä"}),
    ],
)
def test_json_is_received_as_json(message: str, seen: object) -> None:
    """Clients need not parse twice."""
    assert received(message)["message"] == seen


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "{'a': 1}",
        '{"a": 1',
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        "9" * 5000,
        "[" * 100_000,
        "\ufeff{}",
        "line\nline \U0001f525",
    ],
)
def test_what_is_not_json_is_received_as_text(message: str) -> None:
    """Also what Python alone takes for JSON, or cannot hold as a number."""
    assert received(message)["message"] == message


def test_json_that_is_nested_too_deeply_for_an_envelope_is_received_as_text() -> None:
    """Whatever depth Python can hold: the deepest that is JSON fits into an envelope."""

    def envelope(depth: int) -> bytes:
        return from_sns(sns_event("[" * depth + "]" * depth)).envelope()

    first = bisect.bisect(range(20_000), 0, key=lambda depth: envelope(depth).endswith(b']"}'))

    assert first < 20_000
    assert envelope(first - 1).endswith(b"]]}")


def test_half_of_a_surrogate_pair_does_no_harm() -> None:
    """JSON can name it, UTF-8 cannot hold it."""
    assert received('{"a": "\\ud83d"}')["message"] == {"a": "?"}


@given(st.text(max_size=50))
def test_any_text_is_received(message: str) -> None:
    """Whatever is published, clients can parse what they get."""
    assert set(received(message)) == {"type", "id", "sentAt", "subject", "message"}


@pytest.mark.parametrize("filling", ["x", "ä", '"', "\U0001f525"])
def test_the_largest_envelope_is_api_gateway_s_largest_message(filling: str) -> None:
    """Counted in bytes, as it is sent: one more is too many."""
    assert len(padded(MAX_ENVELOPE_BYTES).envelope()) == 128 * 1024 == MAX_ENVELOPE_BYTES
    with pytest.raises(NotificationError) as caught:
        padded(MAX_ENVELOPE_BYTES + 1, filling).envelope()

    assert caught.value.notification_id == "id"
    if filling != '"':  # which takes two bytes in JSON
        assert str(caught.value) == (
            "notification 'id': its envelope has 131073 bytes; expected at most 131072"
        )


# For whom


@pytest.mark.parametrize(
    ("attribute", "clients"),
    [
        (("String", "ada"), ("ada",)),
        (("String", "ada,bob"), ("ada,bob",)),
        (("String", '["ada"]'), ('["ada"]',)),
        (("String", "unknown"), ("unknown",)),
        (("String", "x" * 128), ("x" * 128,)),
        (("String.Array", '["ada"]'), ("ada",)),
        (("String.Array", '["ada", "bob", "ada"]'), ("ada", "bob")),
    ],
)
def test_clients_are_named_by_an_attribute(
    attribute: tuple[str, str], clients: tuple[str, ...]
) -> None:
    """A string is one client, an array several; each is served once."""
    assert from_sns(sns_event(clientId=attribute)).client_ids == clients


def test_without_the_attribute_it_is_for_everybody() -> None:
    """Other attributes, which a filter of the topic may use, change nothing."""
    assert from_sns(sns_event()).client_ids is None
    assert from_sns(sns_event(severity=("Number", "1"))).client_ids is None


@pytest.mark.parametrize(
    "attribute",
    [
        ("String", ""),
        ("String", "x" * 129),
        ("String", "ä" * 65),
        ("Number", "7"),
        ("Binary", "YWRh"),
        ("String.Array", ""),
        ("String.Array", "ada"),
        ("String.Array", "[]"),
        ("String.Array", '"ada"'),
        ("String.Array", '{"ada": 1}'),
        ("String.Array", '["ada", 7]'),
        ("String.Array", '["ada", null]'),
        ("String.Array", '["ada", ""]'),
        ("String.Array", '["ada", ["bob"]]'),
    ],
)
def test_other_clients_are_refused(attribute: tuple[str, str]) -> None:
    """A notification that was meant for few never goes to all, and is not lost in silence."""
    with pytest.raises(NotificationError) as caught:
        from_sns(sns_event(clientId=attribute))

    assert caught.value.notification_id == MESSAGE_ID
    assert "clientId is {'Type': " in str(caught.value)
    assert "expected a String, or a String.Array of at least one string" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_every_client_that_can_connect_can_be_named() -> None:
    """By the parameter or by the subject of a token."""
    assert MAX_CLIENT_ID_BYTES == MAX_SUBJECT_BYTES
    assert CLIENT_ID.fullmatch("x" * MAX_CLIENT_ID_BYTES)


# Malformed events


def without(*path: Any) -> dict[str, Any]:
    """Give an event that lacks what `path` leads to."""
    event = sns_event()
    part: Any = event
    for step in path[:-1]:
        part = part[step]
    del part[path[-1]]
    return event


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": None},
        {"Records": [{}]},
        {"Records": [{"Sns": None}]},
        {"Records": sns_event()["Records"] * 2},
        without("Records", 0, "Sns", "MessageId"),
        without("Records", 0, "Sns", "Message"),
        without("Records", 0, "Sns", "Timestamp"),
        without("Records", 0, "Sns", "MessageAttributes"),
        {"Records": [{"Sns": sns_event()["Records"][0]["Sns"] | {"Timestamp": "today"}}]},
        {"Records": [{"Sns": sns_event()["Records"][0]["Sns"] | {"Message": {"a": 1}}}]},
        {"Records": [{"Sns": sns_event()["Records"][0]["Sns"] | {"MessageAttributes": [1]}}]},
    ],
)
def test_a_malformed_event_is_refused(event: dict[str, Any]) -> None:
    """The error shows what came, cut, and what was wrong with it."""
    with pytest.raises(NotificationError, match="expected an SNS event") as caught:
        from_sns(event)

    assert len(str(caught.value)) < 500
