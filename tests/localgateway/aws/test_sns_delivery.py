"""Deliveries of the embedded SNS to functions, through boto3 over real sockets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from moto import mock_aws
from moto.sns.models import Subscription

from localgateway.aws import sns_delivery as deliveries
from tests.localgateway.support import SESSION, Gateway, Told

NEWS = "arn:aws:sns:us-east-1:123456789012:News"
HEAR = "arn:aws:lambda:us-east-1:123456789012:function:sample-dev-hear"
ELSEWHERE = "arn:aws:sns:eu-west-1:123456789012:Elsewhere"


def saying(text: str, kind: str = "news") -> Any:
    """Select the reports of a message."""

    def said(told: Told) -> bool:
        return told.kind == kind and bool(told.content["Records"][0]["Sns"]["Message"] == text)

    return said


def test_a_message_runs_the_function_with_lambdas_event(gateway: Gateway) -> None:
    """It has every field of AWS's event and no other."""
    text = str(uuid4())

    published = gateway.sns().publish(
        TopicArn=NEWS,
        Message=text,
        Subject="ü",
        MessageAttributes={
            "number": {"DataType": "Number", "StringValue": "7"},
            "names": {"DataType": "String.Array", "StringValue": '["a", "b"]'},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )

    [told] = gateway.recorder.wait(saying(text))
    assert told.content.keys() == {"Records"}
    record = dict(*told.content["Records"])
    sns = dict(record.pop("Sns"))
    assert record.pop("EventSubscriptionArn").startswith(f"{NEWS}:")
    assert record == {"EventSource": "aws:sns", "EventVersion": "1.0"}
    assert sns.pop("MessageAttributes") == {
        "number": {"Type": "Number", "Value": "7"},
        "names": {"Type": "String.Array", "Value": '["a", "b"]'},
        "raw": {"Type": "Binary", "Value": "AP8="},
    }
    sent = datetime.fromisoformat(sns.pop("Timestamp").replace("Z", "+00:00"))
    assert abs(datetime.now(UTC) - sent) < timedelta(minutes=5)
    assert sns.pop("Signature")
    assert sns.pop("SignatureVersion") in ("1", "2")
    assert sns.pop("SigningCertUrl").startswith("https://sns.us-east-1.amazonaws.com/")
    assert f"Action=Unsubscribe&SubscriptionArn={NEWS}:" in sns.pop("UnsubscribeUrl")
    assert sns == {
        "Type": "Notification",
        "MessageId": published["MessageId"],
        "TopicArn": NEWS,
        "Subject": "ü",
        "Message": text,
    }


def test_a_message_without_subject_and_attributes_has_empty_fields(gateway: Gateway) -> None:
    """The subject is null and the attributes are empty; neither is omitted."""
    text = str(uuid4())

    gateway.sns().publish(TopicArn=NEWS, Message=text)

    [told] = gateway.recorder.wait(saying(text))
    assert told.content["Records"][0]["Sns"]["Subject"] is None
    assert told.content["Records"][0]["Sns"]["MessageAttributes"] == {}


def test_a_topic_given_by_its_arn_is_in_its_region(gateway: Gateway) -> None:
    """Its account is the embedded one."""
    text = str(uuid4())

    gateway.sns("eu-west-1").publish(TopicArn=ELSEWHERE, Message=text)

    [told] = gateway.recorder.wait(saying(text, "elsewhere"))
    assert told.content["Records"][0]["Sns"]["TopicArn"] == ELSEWHERE


def test_each_message_of_a_batch_runs_the_function(gateway: Gateway) -> None:
    """A batch counts as separate messages."""
    texts = [str(uuid4()) for _ in range(3)]

    answer = gateway.sns().publish_batch(
        TopicArn=NEWS,
        PublishBatchRequestEntries=[{"Id": text, "Message": text} for text in texts],
    )

    for text in texts:
        [told] = gateway.recorder.wait(saying(text))
        message_id = told.content["Records"][0]["Sns"]["MessageId"]
        assert message_id in [entry.get("MessageId") for entry in answer["Successful"]]


@mock_aws
def test_a_filter_and_a_message_for_each_protocol_are_as_in_sns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A subscription's filter drops messages; `lambda` selects the text for functions."""
    monkeypatch.setattr(Subscription, "publish", Subscription.publish)
    invoked: list[tuple[str, Any]] = []
    deliveries.deliver_by(lambda function, event: invoked.append((function, event)))
    sns = SESSION.client("sns")
    topic = sns.create_topic(Name="filtered")["TopicArn"]
    wanted = json.dumps({"kind": ["wanted"]})
    sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=HEAR, Attributes={"FilterPolicy": wanted}
    )

    for kind in ("unwanted", "wanted"):
        sns.publish(
            TopicArn=topic,
            MessageStructure="json",
            Message=json.dumps({"default": "for others", "lambda": "for functions"}),
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )

    [(function, event)] = invoked
    assert function == HEAR
    assert event["Records"][0]["Sns"]["Message"] == "for functions"
    assert event["Records"][0]["Sns"]["MessageAttributes"]["kind"]["Value"] == "wanted"


def test_a_missing_function_does_not_affect_the_publisher(gateway: Gateway) -> None:
    """Publishers never see a failed delivery, and the other deliveries succeed."""
    sns = gateway.sns()
    topic = sns.create_topic(Name=f"half-{uuid4()}")["TopicArn"]
    for function in (HEAR.replace("hear", "missing"), HEAR):
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    text = str(uuid4())

    answer = sns.publish(TopicArn=topic, Message=text)

    assert answer["MessageId"]
    gateway.recorder.wait(saying(text))


def test_a_delivery_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture, gateway: Gateway
) -> None:
    """The message names the function and the cause."""
    endpoint = f"http://127.0.0.1:{gateway.port}"

    deliveries.invoke_at(endpoint, "missing", {})

    assert "delivery to missing failed" in caplog.text
    assert "ResourceNotFoundException" in caplog.text


def test_other_subscriptions_are_left_to_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues receive messages from moto as before."""
    taken: list[str] = []
    monkeypatch.setattr(
        Subscription, "publish", lambda _, message, *__, **___: taken.append(message)
    )
    queue: Any = type("Queue", (), {"protocol": "sqs"})()

    deliveries.deliver_by(lambda *_: pytest.fail("a queue is no function"))
    Subscription.publish(queue, "hello", "id", subject=None)

    assert taken == ["hello"]
