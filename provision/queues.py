"""Create SQS queues with their dead-letter queues."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.template import QueueDefinition

_log = logging.getLogger(__name__)


def ensure_all(client: Any, definitions: Mapping[str, QueueDefinition]) -> None:
    """Create the queues, by logical id, or set the attributes of those that exist.

    A queue's dead-letter queue has to be another one of them.
    """
    arns: dict[str, str] = {}
    for logical_id in sorted(definitions, key=lambda each: bool(definitions[each].dead_letters)):
        definition = definitions[logical_id]
        attributes = dict(definition.attributes)
        if definition.dead_letters:
            policy = {
                "deadLetterTargetArn": arns[definition.dead_letters],
                "maxReceiveCount": definition.receives,
            }
            attributes["RedrivePolicy"] = json.dumps(policy)
        arns[logical_id] = _ensure(client, definition.name, attributes)


def _ensure(client: Any, name: str, attributes: Mapping[str, str]) -> str:
    """Create a queue or set its attributes, and return its ARN."""
    try:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist:
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        _log.info("created queue %s", name)
    else:
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        _log.info("queue %s already exists", name)
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = found["Attributes"]["QueueArn"]
    return arn
