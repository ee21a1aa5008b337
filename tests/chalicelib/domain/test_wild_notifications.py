"""Notifications as emulators and other publishers send them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import NotificationError
from chalicelib.domain.notification import from_sns
from tests.support.notifications import sns_event

LARGEST = int("9" * 308)


def with_sns(**changed: Any) -> dict[str, Any]:
    [record] = sns_event()["Records"]
    return {"Records": [record | {"Sns": record["Sns"] | changed}]}


@pytest.mark.parametrize(
    "missing", [("Subject",), ("MessageAttributes",), ("Subject", "MessageAttributes")]
)
def test_a_record_without_subject_or_attributes_is_delivered_to_everybody(
    missing: tuple[str, ...],
) -> None:
    """SNS sends them as null and {}; an emulator leaves them out."""
    event = sns_event("hello")
    for name in missing:
        del event["Records"][0]["Sns"][name]

    notification = from_sns(event)

    assert (notification.message, notification.subject) == ("hello", None)
    assert notification.client_ids is None


SQS = {"messageId": "1", "body": "{}", "attributes": {}, "eventSource": "aws:sqs"}
EVENTBRIDGE = {"version": "0", "source": "aws.ec2", "detail-type": "x", "detail": {}, "id": "1"}
S3 = {"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}


@pytest.mark.parametrize(
    "event",
    [
        *(None, [], "ping", 7, {}, {"source": "serverless-plugin-warmup"}),
        {"Records": [SQS]},
        {"Records": [S3]},
        EVENTBRIDGE,
        with_sns(MessageId=7),
        with_sns(MessageId=None),
        with_sns(Subject=["a"]),
        with_sns(Message=None),
        with_sns(Timestamp=1731324924),
        with_sns(Timestamp="0001-01-01T00:00:00"),
        with_sns(MessageAttributes="clientId"),
        with_sns(MessageAttributes={"clientId": "alice"}),
        with_sns(MessageAttributes={"clientId": {"Type": ["String"], "Value": "alice"}}),
        with_sns(MessageAttributes={"clientId": {"Type": "String.Array", "Value": 7}}),
    ],
)
def test_a_foreign_or_malformed_event_is_refused(event: Any) -> None:
    with pytest.raises(NotificationError, match="expected an SNS event"):
        from_sns(event)


@pytest.mark.parametrize(
    "attribute",
    [
        ("String", "\ud800"),
        ("String.Array", '["alice", "\\ud800"]'),
        ("String.Array", '["a\\udfff"]'),
    ],
)
def test_half_of_a_surrogate_pair_is_not_a_client_id(attribute: tuple[str, str]) -> None:
    """Such a client cannot connect, and DynamoDB cannot be asked for it."""
    with pytest.raises(NotificationError, match="clientId is "):
        from_sns(sns_event(clientId=attribute))


@pytest.mark.parametrize(
    "text",
    [
        *("1e999", "-1e999", '{"a": [1e400]}', "NaN", "Infinity"),
        *(str(10**309), f"-{10**400}", f'{{"a": {10**309}}}', "9" * 5000),
    ],
)
def test_a_number_over_a_double_stays_text(text: str) -> None:
    """Clients would read infinity."""
    assert from_sns(sns_event(text)).message == text


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, 2**53, 1.7e308, {"a": [0, -1]}])
def test_a_number_within_a_double_is_a_number(value: Any) -> None:
    assert from_sns(sns_event(json.dumps(value))).message == value


@given(st.text(st.characters(codec=None)))
def test_any_text_makes_an_envelope(text: str) -> None:
    envelope = from_sns(sns_event(text)).envelope()

    assert json.loads(envelope)["type"] == "notification"
