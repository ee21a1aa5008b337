"""Queues that run functions, through boto3 and the embedded SQS."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.localgateway.support import Gateway, Told


@pytest.fixture(scope="module")
def sqs(gateway: Gateway) -> Any:
    """Return a client of the embedded SQS, which has no types here."""
    return gateway.session().client("sqs", endpoint_url=gateway.engine)


def of(body: str, kind: str = "jobs") -> Any:
    """Select the reports of a message."""

    def found(told: Told) -> bool:
        return told.kind == kind and body in [r["body"] for r in told.content["Records"]]

    return found


def url(sqs: Any, name: str = "Jobs") -> str:
    """Return the URL of a queue."""
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def hidden(sqs: Any, name: str = "Jobs") -> dict[str, str]:
    """Return the numbers of messages in a queue."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url(sqs, name), AttributeNames=names)
    return dict(attributes["Attributes"])


def test_a_message_runs_the_function_with_lambdas_event(gateway: Gateway, sqs: Any) -> None:
    """It has every field of AWS's event and no other."""
    body = str(uuid4())
    attributes = {
        "text": {"DataType": "String", "StringValue": "ü"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }

    sent = sqs.send_message(QueueUrl=url(sqs), MessageBody=body, MessageAttributes=attributes)

    [told] = gateway.recorder.wait(of(body))
    [record] = told.content["Records"]
    assert record.pop("receiptHandle")
    system = record.pop("attributes")
    assert system["ApproximateReceiveCount"] == "1"
    assert system["SentTimestamp"].isdecimal()
    assert system.keys() == {
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SenderId",
        "ApproximateFirstReceiveTimestamp",
    }
    lists: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert record == {
        "messageId": sent["MessageId"],
        "body": body,
        "messageAttributes": {
            "text": {"stringValue": "ü", "dataType": "String", **lists},
            "raw": {"binaryValue": "AP8=", "dataType": "Binary", **lists},
        },
        "md5OfBody": sent["MD5OfMessageBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:Jobs",
        "awsRegion": "us-east-1",
    }


def test_messages_come_in_batches_and_after_their_delay(gateway: Gateway, sqs: Any) -> None:
    """A batch is at most as large as the decorator says; delayed messages come, too."""
    bodies = [str(uuid4()) for _ in range(5)]

    sqs.send_message_batch(
        QueueUrl=url(sqs),
        Entries=[
            {"Id": f"{number}", "MessageBody": body, "DelaySeconds": number % 2}
            for number, body in enumerate(bodies)
        ],
    )

    for body in bodies:
        [told] = gateway.recorder.wait(of(body))
        assert len(told.content["Records"]) <= 2
        record = next(each for each in told.content["Records"] if each["body"] == body)
        attributes = record["attributes"]
        waited = int(attributes["ApproximateFirstReceiveTimestamp"]) - int(
            attributes["SentTimestamp"]
        )
        assert waited >= 1000 * (bodies.index(body) % 2)


def test_a_failed_message_comes_again_and_then_goes_to_the_dead_letters(
    gateway: Gateway, sqs: Any
) -> None:
    """After the visibility timeout, and as often as `maxReceiveCount` says."""
    body = f"fail {uuid4()}"

    sqs.send_message(QueueUrl=url(sqs), MessageBody=body)

    tries = gateway.recorder.wait(of(body), 2)
    dead: list[Any] = []
    while not dead:
        dead = sqs.receive_message(
            QueueUrl=url(sqs, "FailedJobs-dev"), WaitTimeSeconds=5, MaxNumberOfMessages=1
        ).get("Messages", [])
    assert [message["Body"] for message in dead] == [body]
    counts = [told.content["Records"][0]["attributes"] for told in tries]
    assert [each["ApproximateReceiveCount"] for each in counts] == ["1", "2"]
    assert len(gateway.recorder.all(of(body))) == 2


def test_a_processed_message_is_deleted(gateway: Gateway, sqs: Any) -> None:
    """Its successor, sent later, is processed after it; then the queue is empty."""
    for _ in range(2):
        body = str(uuid4())
        sqs.send_message(QueueUrl=url(sqs), MessageBody=body)
        gateway.recorder.wait(of(body))

    while set(hidden(sqs).values()) != {"0"}:
        """The deletion follows the function's answer."""
    assert len(gateway.recorder.all(of(body))) == 1


def test_a_queue_given_by_its_arn_is_in_its_region(gateway: Gateway) -> None:
    """Its account is replaced by the embedded one."""
    body = json.dumps({"id": str(uuid4())})
    far: Any = gateway.session().client("sqs", endpoint_url=gateway.engine, region_name="eu-west-1")

    far.send_message(QueueUrl=url(far, "Far"), MessageBody=body)

    [told] = gateway.recorder.wait(of(body, "far"))
    assert told.content["Records"][0]["awsRegion"] == "eu-west-1"
