from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from provision.queues import ensure_all
from provision.template import QueueDefinition

pytestmark = pytest.mark.usefixtures("account")

FAILED = QueueDefinition("Failed", {"MessageRetentionPeriod": "1209600"})
WORK = QueueDefinition("Work", {"VisibilityTimeout": "180"}, dead_letters="F", receives=5)


def attributes(name: str) -> dict[str, Any]:
    """Return the attributes of a queue."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    found: Any = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes: dict[str, Any] = found["Attributes"]
    return attributes


@pytest.mark.parametrize("order", [("F", "W"), ("W", "F")])
def test_queues_are_created_with_their_dead_letter_queues(order: tuple[str, str]) -> None:
    """In whatever order the template has them."""
    definitions = {"F": FAILED, "W": WORK}

    ensure_all(boto3.client("sqs"), {each: definitions[each] for each in order})

    failed, work = attributes("Failed"), attributes("Work")
    assert failed["MessageRetentionPeriod"] == "1209600"
    assert work["VisibilityTimeout"] == "180"
    assert json.loads(work["RedrivePolicy"]) == {
        "deadLetterTargetArn": failed["QueueArn"],
        "maxReceiveCount": 5,
    }


def test_an_existing_queue_gets_the_attributes_of_the_template() -> None:
    """A later version may have others. Its messages stay."""
    client = boto3.client("sqs")
    url = client.create_queue(QueueName="Work")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="kept")

    ensure_all(client, {"F": FAILED, "W": WORK})

    assert attributes("Work")["VisibilityTimeout"] == "180"
    assert "RedrivePolicy" in attributes("Work")
    [message] = client.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "kept"
