"""An event bus in moto, and a queue behind it."""

import json
from collections.abc import Callable
from typing import Any

import boto3

BUS = "bus"


def queued(detail_type: str = "Connection Closed") -> Callable[[], list[dict[str, Any]]]:
    """Create the bus `BUS` and a queue for its events of one type.

    The rule is like that of `.chalice/resources.json`. Returns a function that takes the events
    which arrived since its last call.
    """
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=BUS)
    queue = sqs.create_queue(QueueName="published")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {"source": ["incident-websocket"], "detail-type": [detail_type]}
    events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps(pattern))
    target: Any = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="all", EventBusName=BUS, Targets=[target])

    def take() -> list[dict[str, Any]]:
        published = []
        while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            published += [json.loads(message["Body"]) for message in batch]
            for message in batch:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return published

    return take


def listen(detail_type: str = "Connection Closed") -> Callable[[], list[dict[str, Any]]]:
    """Create the bus, and return a function that takes the details of its events."""
    take = queued(detail_type)
    return lambda: [event["detail"] for event in take()]
