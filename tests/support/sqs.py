"""The queue of notifications that may have reached nobody, in moto."""

from typing import Any

import boto3

from chalicelib.domain.unclaimed import Queued, parse

QUEUE = "IncidentUnclaimed-dev"


def create_queue() -> str:
    """Create the queue as the project does, and return its URL."""
    size: Any = {"MaximumMessageSize": "1048576"}
    return boto3.client("sqs").create_queue(QueueName=QUEUE, Attributes=size)["QueueUrl"]


def delayed(url: str) -> int:
    """Return how many messages wait for their delay."""
    name: Any = "ApproximateNumberOfMessagesDelayed"
    found: Any = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(found["Attributes"][name])


def taken(url: str) -> list[Queued]:
    """Take the messages that the queue shows."""
    client = boto3.client("sqs")
    bodies = []
    while found := client.receive_message(QueueUrl=url).get("Messages"):
        for message in found:
            bodies.append(message["Body"])
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [parse(body) for body in bodies]


def sqs_event(*bodies: str) -> dict[str, Any]:
    """Return the event with which Lambda passes messages on."""
    records = [
        {
            "messageId": f"message-{number}",
            "receiptHandle": "handle",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1731324924561"},
            "messageAttributes": {},
            "md5OfBody": "x",
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{QUEUE}",
            "awsRegion": "eu-west-1",
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}
