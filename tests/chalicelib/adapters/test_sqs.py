import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import ATTEMPTS
from chalicelib.adapters.sqs import Queue
from chalicelib.domain.errors import QueueError
from tests.support.connections import NO_DEADLINE


@pytest.fixture
def url() -> Iterator[str]:
    """Create a queue and return its URL."""
    with mock_aws():
        yield boto3.client("sqs").create_queue(QueueName="Q")["QueueUrl"]


def seen(url: str) -> list[str]:
    """Return what the queue shows now."""
    found = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


def calls() -> list[str]:
    """Return the operations that the application calls from now on."""
    made: list[str] = []
    events = aws_clients.client("sqs").meta.events
    events.register("before-call.sqs", lambda model, **_: made.append(model.name))
    return made


@pytest.mark.parametrize(("delay_s", "shown"), [(0, ["hello"]), (900, [])])
def test_a_message_is_shown_after_its_delay(url: str, delay_s: int, shown: list[str]) -> None:
    Queue.open("Q", NO_DEADLINE).send("hello", delay_s)

    assert seen(url) == shown
    attributes: Any = boto3.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    delayed = attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"]
    assert int(delayed) == 1 - len(shown)


def test_the_address_of_a_queue_is_looked_up_once(url: str) -> None:
    """Its name is the same in every account, its address is not."""
    made = calls()

    for _ in range(2):
        Queue.open("Q", NO_DEADLINE).send("hello", 0)

    assert made == ["GetQueueUrl", "SendMessage", "SendMessage"]
    assert seen(url) == ["hello"] * 2


def test_a_message_whose_answer_is_lost_is_sent_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue may hold it twice."""
    queue = Queue.open("Q", NO_DEADLINE)
    queue.send("first", 0)
    send, lost = queue.client.send_message, [True]

    def losing(**arguments: Any) -> Any:
        answer = send(**arguments)
        if lost:
            lost.pop()
            raise ReadTimeoutError(endpoint_url="http://x")
        return answer

    monkeypatch.setattr(queue.client, "send_message", losing)

    queue.send("hello", 0)

    assert sorted(seen(url)) == ["first", "hello", "hello"]


def test_a_missing_queue_is_an_error() -> None:
    with mock_aws(), pytest.raises(QueueError) as caught:
        Queue.open("Missing", NO_DEADLINE).send("hello", 0)

    assert (caught.value.operation, caught.value.queue) == ("GetQueueUrl", "Missing")
    assert caught.value.code.endswith("NonExistentQueue")


def test_a_queue_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    made = calls()

    with pytest.raises(QueueError) as caught:
        Queue.open("Q", NO_DEADLINE).send("hello", 0)

    assert caught.value.code == "EndpointConnectionError"
    assert made == ["GetQueueUrl"] * ATTEMPTS


def test_without_a_region_there_is_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(QueueError) as caught:
        Queue.open("Q", NO_DEADLINE)

    assert caught.value.code == "NoRegionError"


def test_the_largest_message_is_accepted(url: str) -> None:
    """1 MB, if the queue is set to it."""
    size: Any = {"MaximumMessageSize": "1048576"}
    boto3.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=size)
    text = json.dumps("x" * 1_000_000)

    Queue.open("Q", NO_DEADLINE).send(text, 0)

    assert seen(url) == [text]
