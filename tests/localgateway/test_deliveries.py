"""How messages of the embedded SNS reach functions, through boto3 over real sockets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from moto import mock_aws
from moto.sns.models import Subscription

from localgateway import deliveries
from tests.localgateway.running import SESSION, Gateway, Told

NEWS = "arn:aws:sns:us-east-1:123456789012:News"
HEAR = "arn:aws:lambda:us-east-1:123456789012:function:sample-dev-hear"
ELSEWHERE = "arn:aws:sns:eu-west-1:123456789012:Elsewhere"


def saying(text: str, kind: str = "news") -> Any:
    """Select what a function tells of a message."""

    def said(told: Told) -> bool:
        return told.kind == kind and bool(told.content["Records"][0]["Sns"]["Message"] == text)

    return said


def test_a_message_runs_the_function_with_lambdas_event(gateway: Gateway) -> None:
    """The event has every field of AWS's, and no other."""
    # GIVEN a function that is subscribed to a topic
    text = str(uuid4())

    # WHEN a message is published
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

    # THEN the function has run once, with the event
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


def test_a_message_without_subject_and_attributes_says_so(gateway: Gateway) -> None:
    """The subject is null and the attributes are empty; neither is left out."""
    # GIVEN a function that is subscribed to a topic
    text = str(uuid4())

    # WHEN only a text is published
    gateway.sns().publish(TopicArn=NEWS, Message=text)

    # THEN both fields are there
    [told] = gateway.recorder.wait(saying(text))
    assert told.content["Records"][0]["Sns"]["Subject"] is None
    assert told.content["Records"][0]["Sns"]["MessageAttributes"] == {}


def test_a_topic_that_is_named_by_its_arn_is_in_its_region(gateway: Gateway) -> None:
    """Its account is the embedded one."""
    # GIVEN a function that is subscribed to an ARN of another region
    text = str(uuid4())

    # WHEN a message is published there
    gateway.sns("eu-west-1").publish(TopicArn=ELSEWHERE, Message=text)

    # THEN the function has run
    [told] = gateway.recorder.wait(saying(text, "elsewhere"))
    assert told.content["Records"][0]["Sns"]["TopicArn"] == ELSEWHERE


def test_each_message_of_a_batch_runs_the_function(gateway: Gateway) -> None:
    """A batch is so many messages."""
    # GIVEN a function that is subscribed to a topic
    texts = [str(uuid4()) for _ in range(3)]

    # WHEN a batch is published
    answer = gateway.sns().publish_batch(
        TopicArn=NEWS,
        PublishBatchRequestEntries=[{"Id": text, "Message": text} for text in texts],
    )

    # THEN each has run the function
    for text in texts:
        [told] = gateway.recorder.wait(saying(text))
        message_id = told.content["Records"][0]["Sns"]["MessageId"]
        assert message_id in [entry.get("MessageId") for entry in answer["Successful"]]


@mock_aws
def test_a_filter_and_a_message_for_each_protocol_are_as_in_sns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filter of a subscription keeps messages away, and `lambda` selects the text."""
    # GIVEN a subscription with a filter
    monkeypatch.setattr(Subscription, "publish", Subscription.publish)
    invoked: list[tuple[str, Any]] = []
    deliveries.deliver_by(lambda function, event: invoked.append((function, event)))
    sns = SESSION.client("sns")
    topic = sns.create_topic(Name="filtered")["TopicArn"]
    wanted = json.dumps({"kind": ["wanted"]})
    sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=HEAR, Attributes={"FilterPolicy": wanted}
    )

    # WHEN a message that is not wanted is published, and then one that is
    for kind in ("unwanted", "wanted"):
        sns.publish(
            TopicArn=topic,
            MessageStructure="json",
            Message=json.dumps({"default": "for others", "lambda": "for functions"}),
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )

    # THEN the function is invoked for the one, with its own words
    [(function, event)] = invoked
    assert function == HEAR
    assert event["Records"][0]["Sns"]["Message"] == "for functions"
    assert event["Records"][0]["Sns"]["MessageAttributes"]["kind"]["Value"] == "wanted"


def test_a_function_that_is_not_there_costs_the_publisher_nothing(gateway: Gateway) -> None:
    """Who publishes is never told of a failed delivery, and the others are delivered."""
    # GIVEN a topic with a subscription of no function, and then one of a function
    sns = gateway.sns()
    topic = sns.create_topic(Name=f"half-{uuid4()}")["TopicArn"]
    for function in (HEAR.replace("hear", "missing"), HEAR):
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    text = str(uuid4())

    # WHEN a message is published
    answer = sns.publish(TopicArn=topic, Message=text)

    # THEN it is taken, and the function has heard it
    assert answer["MessageId"]
    gateway.recorder.wait(saying(text))


def test_a_delivery_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture, gateway: Gateway
) -> None:
    """The message names the function and the cause."""
    # GIVEN the address of Lambda's API
    endpoint = f"http://127.0.0.1:{gateway.port}"

    # WHEN a function is to be invoked that is not there
    deliveries.invoke_at(endpoint, "missing", {})

    # THEN the log says so
    assert "a message did not reach missing" in caplog.text
    assert "ResourceNotFoundException" in caplog.text


def test_other_subscriptions_are_left_to_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue has its messages from moto as before."""
    # GIVEN what moto does, recorded
    taken: list[str] = []
    monkeypatch.setattr(
        Subscription, "publish", lambda _, message, *__, **___: taken.append(message)
    )
    queue: Any = type("Queue", (), {"protocol": "sqs"})()

    # WHEN a message is for a queue
    deliveries.deliver_by(lambda *_: pytest.fail("a queue is no function"))
    Subscription.publish(queue, "hello", "id", subject=None)

    # THEN moto has it
    assert taken == ["hello"]
