import bisect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.admission import CLIENT_ID
from chalicelib.domain.errors import NotificationError
from chalicelib.domain.notification import MAX_CLIENT_ID_BYTES, Notification, from_sns
from chalicelib.domain.subjects import MAX_SUBJECT_BYTES
from tests.support.notifications import MESSAGE_ID, SENT_AT, sns_event

MAX_BYTES = 128 * 1024  # API Gateway's largest message


def received(message: str, subject: str | None = None) -> dict[str, Any]:
    """Return what a browser parses from the envelope of a message."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    envelope = from_sns(sns_event(message, subject)).envelope()
    fields: dict[str, Any] = json.loads(envelope.decode("utf-8"), parse_constant=refuse)
    return fields


def padded(size: int, filling: str = "x") -> Notification:
    """Return a notification whose envelope has `size` bytes, if `filling` is not escaped."""
    room = size - len(Notification("id", SENT_AT, None, "").envelope())
    times, rest = divmod(room, len(filling.encode()))
    return Notification("id", SENT_AT, None, filling * times + "x" * rest)


@pytest.mark.parametrize("subject", ["Database down", None])
def test_an_envelope_has_the_id_the_time_in_ms_the_subject_and_the_message(
    subject: str | None,
) -> None:
    assert received("hello", subject) == {
        "type": "notification",
        "id": MESSAGE_ID,
        "sentAt": SENT_AT,
        "subject": subject,
        "message": "hello",
    }


def test_an_envelope_is_compact_and_not_escaped() -> None:
    assert Notification("1", 2, None, "ä").envelope() == (
        '{"type":"notification","id":"1","sentAt":2,"subject":null,"message":"ä"}'.encode()
    )


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
        ('{"a": "\\ud83d"}', {"a": "?"}),  # half a surrogate pair, which UTF-8 cannot encode
    ],
)
def test_a_json_message_is_received_as_json(message: str, seen: object) -> None:
    assert received(message)["message"] == seen


@pytest.mark.parametrize(
    "message",
    [
        *("", "hello", "{'a': 1}", '{"a": 1', "\ufeff{}", "line\nline \U0001f525"),
        # Python accepts these as JSON, or cannot represent them
        *("NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "9" * 5000, "[" * 100_000),
    ],
)
def test_any_other_message_is_received_as_text(message: str) -> None:
    assert received(message)["message"] == message


def test_json_nested_too_deeply_for_an_envelope_is_received_as_text() -> None:
    """The deepest message that counts as JSON fits an envelope, also where the stack is deeper."""

    def envelope(depth: int) -> bytes:
        return from_sns(sns_event("[" * depth + "]" * depth)).envelope()

    def deeper(frames: int, notification: Notification) -> bytes:
        return deeper(frames - 1, notification) if frames else notification.envelope()

    first = bisect.bisect(range(20_000), 0, key=lambda depth: envelope(depth).endswith(b']"}'))
    deepest = from_sns(sns_event("[" * (first - 1) + "]" * (first - 1)))

    assert first < 20_000
    assert deeper(10, deepest).endswith(b"]]}")


@given(st.text(max_size=50))
def test_any_text_makes_a_valid_envelope(message: str) -> None:
    assert set(received(message)) == {"type", "id", "sentAt", "subject", "message"}


@pytest.mark.parametrize("filling", ["x", "ä", "\U0001f525"])
def test_an_envelope_has_at_most_the_bytes_of_api_gateways_largest_message(filling: str) -> None:
    assert len(padded(MAX_BYTES, filling).envelope()) == MAX_BYTES
    with pytest.raises(NotificationError) as caught:
        padded(MAX_BYTES + 1, filling).envelope()

    assert str(caught.value) == (
        "notification 'id': its envelope has 131073 bytes; expected at most 131072"
    )


def test_escapes_count_in_the_size_of_an_envelope() -> None:
    with pytest.raises(NotificationError):
        padded(MAX_BYTES, '"').envelope()


@pytest.mark.parametrize(
    ("attributes", "clients"),
    [
        ({}, None),
        ({"severity": ("Number", "1")}, None),
        ({"clientId": ("String", "ada")}, ("ada",)),
        ({"clientId": ("String", "ada,bob")}, ("ada,bob",)),
        ({"clientId": ("String", '["ada"]')}, ('["ada"]',)),
        ({"clientId": ("String", "unknown")}, ("unknown",)),
        ({"clientId": ("String", "x")}, ("x",)),
        ({"clientId": ("String", "x" * 128)}, ("x" * 128,)),
        ({"clientId": ("String.Array", '["ada"]')}, ("ada",)),
        ({"clientId": ("String.Array", '["ada", "bob", "ada"]')}, ("ada", "bob")),
    ],
)
def test_a_notification_is_for_all_clients_or_those_of_the_attribute(
    attributes: Any, clients: tuple[str, ...] | None
) -> None:
    assert from_sns(sns_event(**attributes)).client_ids == clients


@pytest.mark.parametrize(
    "attribute",
    [
        *(("String", value) for value in ("", "x" * 129, "ä" * 65)),
        *(("Number", "7"), ("Binary", "YWRh")),
        *(
            ("String.Array", value)
            for value in (
                *("", "ada", "[]", '"ada"', '{"ada": 1}', '["ada", 7]', '["ada", null]'),
                *('["ada", ""]', '["ada", ["bob"]]'),
            )
        ),
    ],
)
def test_an_invalid_client_attribute_is_refused(attribute: tuple[str, str]) -> None:
    """A notification for few clients never goes to all, and is not lost silently."""
    with pytest.raises(NotificationError) as caught:
        from_sns(sns_event(clientId=attribute))

    kind, value = attribute
    shown = repr({"Type": kind, "Value": value})
    assert caught.value.notification_id == MESSAGE_ID
    assert caught.value.problem == (
        f"clientId is {shown}; expected a String, or a String.Array of at least one string, "
        "each of 1 to 128 bytes of UTF-8"
    )


def test_a_receipt_is_asked_for_by_an_attribute() -> None:
    """The envelope has the field only if somebody waits for the answer."""
    event = sns_event(clientId=("String", "ada"), receipt=("String", "required"))

    notification = from_sns(event)

    assert notification.receipt
    assert json.loads(notification.envelope(receipt=True))["receipt"] is True
    assert "receipt" not in json.loads(notification.envelope())
    assert not from_sns(sns_event(clientId=("String", "ada"))).receipt


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        *(
            (
                {"clientId": ("String", "ada"), "receipt": given},
                f"receipt is {{'Type': {given[0]!r}, 'Value': {given[1]!r}}}; "
                "expected the String required, or no receipt",
            )
            for given in (("String", "yes"), ("String", ""), ("Binary", "required"))
        ),
        (
            {"receipt": ("String", "required")},
            "receipt is set without clientId; expected both, since only named clients answer",
        ),
    ],
)
def test_an_invalid_receipt_is_refused(
    attributes: dict[str, tuple[str, str]], problem: str
) -> None:
    with pytest.raises(NotificationError) as caught:
        from_sns(sns_event("hello", None, **attributes))

    assert str(caught.value) == f"notification {MESSAGE_ID!r}: {problem}"


def test_every_client_that_can_connect_can_be_addressed() -> None:
    assert MAX_CLIENT_ID_BYTES == MAX_SUBJECT_BYTES
    assert CLIENT_ID.fullmatch("x" * MAX_CLIENT_ID_BYTES)


def with_sns(**changed: Any) -> dict[str, Any]:
    """Return an event with changed fields; None removes one."""
    sns = sns_event()["Records"][0]["Sns"] | changed
    return {"Records": [{"Sns": {name: v for name, v in sns.items() if v is not None}}]}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": None},
        {"Records": [{}]},
        {"Records": [{"Sns": None}]},
        {"Records": sns_event()["Records"] * 2},
        with_sns(MessageId=None),
        with_sns(Message=None),
        with_sns(Timestamp=None),
        with_sns(Timestamp="today"),
        with_sns(Message={"a": 1}),
        with_sns(MessageAttributes=[1]),
    ],
)
def test_a_malformed_event_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(NotificationError, match="expected an SNS event") as caught:
        from_sns(event)

    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("length", "end"), [(191, "'}; "), (192, "'...; ")])
def test_an_error_shows_the_event_cut_to_200_characters(length: int, end: str) -> None:
    event = {"a": "x" * length}  # 9 characters more

    with pytest.raises(NotificationError) as caught:
        from_sns(event)

    assert caught.value.notification_id is None
    assert caught.value.problem.startswith(f"the event is {{'a': '{'x' * length}{end}")
