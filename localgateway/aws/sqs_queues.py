"""Queues of the embedded SQS: those of the template, and those that functions read."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import boto3

from localgateway.errors import ResourcesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.aws.template_values import TemplateValues

_ATTRIBUTES = (
    *("DelaySeconds", "VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize"),
    *("ReceiveMessageWaitTimeSeconds", "FifoQueue", "ContentBasedDeduplication", "RedrivePolicy"),
)

_log = logging.getLogger(__name__)


def create_queues(template: TemplateValues) -> None:
    """Create the queues of the template, dead-letter queues first; keep those that exist."""
    queues = dict(template.of("AWS::SQS::Queue"))
    client: Any = boto3.client("sqs")
    for logical_id in sorted(queues, key=lambda each: "RedrivePolicy" in queues[each]):
        given = queues[logical_id]
        wanted = {name: given[name] for name in _ATTRIBUTES if name in given}
        try:
            name = template.names[logical_id]
            attributes = {each: _text(value) for each, value in template.resolve(wanted).items()}
        except (KeyError, ResourcesError) as error:
            _log.warning("queue %s of the resources file is left out: %s", logical_id, error)
        else:
            _create_if_missing(client, name, attributes)


def mapping(queue: str, function: str, batch_size: int) -> dict[str, Any]:
    """Return the event source mapping of a queue, by name or ARN, which is created if missing.

    The region of an ARN counts; its account is replaced by the embedded one.
    """
    *_, region, _, name = queue.split(":") if ":" in queue else (None, None, queue)
    client: Any = boto3.client("sqs", region_name=region)
    _create_if_missing(client, name, {})
    return {
        "queue": name,
        "region": client.meta.region_name,
        "function": function,
        "batch_size": batch_size,
    }


def _create_if_missing(client: Any, name: str, attributes: Mapping[str, str]) -> None:
    try:
        client.get_queue_url(QueueName=name)
    except client.exceptions.QueueDoesNotExist:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        client.create_queue(QueueName=name, Attributes={**fifo, **attributes})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict) else str(value)
