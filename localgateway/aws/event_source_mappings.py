"""Event source mappings: reads queues and runs functions on their messages, as Lambda does.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.exceptions import QueueDoesNotExist
from moto.sqs.models import sqs_backends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moto.sqs.models import Message

# In seconds: how long a read waits for messages, and a pause after an error.
_WAIT = 1
_PAUSE = 1.0
# Longer than any function may take.
_ONE_TRY = Config(read_timeout=1000, retries={"total_max_attempts": 1})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mapping:
    """A queue and the function that receives its messages, up to `batch_size` at once."""

    queue: str
    region: str
    function: str
    batch_size: int


class Mappings:
    """Polls queues, one thread each, and invokes functions through the Lambda API at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self._client: Any = boto3.client("lambda", endpoint_url=endpoint, config=_ONE_TRY)
        self._stops: dict[Mapping, threading.Event] = {}

    def replace(self, mappings: Iterable[Mapping]) -> None:
        """Poll for these mappings only; batches that run end in the version that they began."""
        wanted = set(mappings)
        for mapping in self._stops.keys() - wanted:
            self._stops.pop(mapping).set()
        for mapping in wanted - self._stops.keys():
            stop = self._stops[mapping] = threading.Event()
            threading.Thread(target=self._poll, args=(mapping, stop), daemon=True).start()

    def _poll(self, mapping: Mapping, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._serve(mapping)
            except Exception as error:  # noqa: BLE001 - moto may raise anything
                _log.error("queue %s: %r", mapping.queue, error)
                stop.wait(_PAUSE)

    def _serve(self, mapping: Mapping) -> None:
        backend = sqs_backends[DEFAULT_ACCOUNT_ID][mapping.region]
        queue: Any = backend.get_queue(mapping.queue)
        messages = backend.receive_message(
            mapping.queue, mapping.batch_size, _WAIT, int(queue.visibility_timeout or 0), ["All"]
        )
        if messages and self._invoke(mapping, sqs_event(messages, queue.queue_arn)):
            for message in messages:
                try:
                    backend.delete_message(mapping.queue, str(message.receipt_handle))
                except QueueDoesNotExist:
                    return

    def _invoke(self, mapping: Mapping, event: Any) -> bool:
        try:
            answer = self._client.invoke(
                FunctionName=mapping.function, Payload=json.dumps(event).encode()
            )
        except (ClientError, BotoCoreError) as error:
            failure = str(error)
        else:
            if "FunctionError" not in answer:
                return True
            failure = json.load(answer["Payload"]).get("errorMessage", "it failed")
        _log.error(
            "messages of queue %s come back after its visibility timeout; %s: %s",
            *(mapping.queue, mapping.function, failure),
        )
        return False


def sqs_event(messages: Iterable[Message], queue_arn: str) -> dict[str, Any]:
    """Return the event with which a function receives messages."""
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": _attributes(message),
                "messageAttributes": {
                    name: _attribute(value) for name, value in message.message_attributes.items()
                },
                "md5OfBody": message.body_md5,
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": queue_arn.split(":")[3],
            }
            for message in messages
        ]
    }


def _attributes(message: Message) -> dict[str, str]:
    attributes = {
        "ApproximateReceiveCount": message.approximate_receive_count,
        "SentTimestamp": message.sent_timestamp,
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": message.approximate_first_receive_timestamp,
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "SequenceNumber": message.sequence_number,
    }
    return {name: str(value) for name, value in attributes.items() if value is not None}


def _attribute(value: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if "BinaryValue" in value:
        binary = value["BinaryValue"]
        shown["binaryValue"] = (
            base64.b64encode(binary).decode() if isinstance(binary, bytes) else binary
        )
    else:
        shown["stringValue"] = value.get("StringValue", "")
    return shown
