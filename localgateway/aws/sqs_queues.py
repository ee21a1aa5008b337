"""Queues of the embedded SQS: those of the template, and those that functions read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.aws.template_values import TemplateValues

_ATTRIBUTES = (
    *("DelaySeconds", "VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize"),
    *("ReceiveMessageWaitTimeSeconds", "FifoQueue", "ContentBasedDeduplication", "RedrivePolicy"),
)


def create_queues(template: TemplateValues) -> None:
    """Create the queues of the template, dead-letter queues first; keep those that exist."""
    queues = [template.resolve(properties) for _, properties in template.of("AWS::SQS::Queue")]
    client: Any = boto3.client("sqs")
    for properties in sorted(queues, key=lambda each: "RedrivePolicy" in each):
        name = properties.get("QueueName")
        if name and not client.list_queues(QueueNamePrefix=name).get("QueueUrls"):
            client.create_queue(QueueName=name, Attributes=_attributes(properties))


def mapping(queue: str, function: str, batch_size: int) -> dict[str, Any]:
    """Return the event source mapping of a queue, by name or ARN, which is created if missing.

    The region of an ARN counts; its account is replaced by the embedded one.
    """
    *_, region, _, name = queue.split(":") if ":" in queue else (None, None, queue)
    client: Any = boto3.client("sqs", region_name=region)
    try:
        client.get_queue_url(QueueName=name)
    except client.exceptions.QueueDoesNotExist:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        client.create_queue(QueueName=name, Attributes=fifo)
    return {
        "queue": name,
        "region": client.meta.region_name,
        "function": function,
        "batch_size": batch_size,
    }


def _attributes(properties: Mapping[str, Any]) -> Any:
    return {name: _text(properties[name]) for name in _ATTRIBUTES if name in properties}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict) else str(value)
