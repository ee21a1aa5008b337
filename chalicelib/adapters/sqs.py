"""Sends messages to SQS queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import CallError, call
from chalicelib.domain.errors import QueueError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from chalicelib.clock import Deadline

_urls: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Queue:
    """One queue, by its name, for one invocation.

    Every method raises `QueueError` when SQS does not confirm the operation; its code is
    `NotStarted` when too little time was left before `deadline`.
    """

    client: SQSClient
    name: str
    deadline: Deadline

    @classmethod
    def open(cls, name: str, deadline: Deadline) -> Self:
        """Open a queue with the client of this execution environment."""
        try:
            return cls(cast("SQSClient", aws_clients.client("sqs")), name, deadline)
        except BotoCoreError as error:
            raise QueueError("CreateClient", name, type(error).__name__, str(error)) from error

    def send(self, text: str, delay_s: int) -> None:
        """Send a message that the queue shows after `delay_s`.

        An attempt whose answer is lost is repeated, so the queue may hold the message twice.
        """
        self._call("send_message", QueueUrl=self._url(), MessageBody=text, DelaySeconds=delay_s)

    def _url(self) -> str:
        """Return the queue's URL, which is looked up once in an execution environment.

        It has the account in it, so config.json cannot name it.
        """
        key = self.client.meta.endpoint_url, self.name
        if key not in _urls:
            _urls[key] = self._call("get_queue_url", QueueName=self.name)["QueueUrl"]
        return _urls[key]

    def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return call(getattr(self.client, method), self.deadline, **arguments).body
        except CallError as error:
            operation = self.client.meta.method_to_api_mapping[method]
            raise QueueError(operation, self.name, error.code, error.cause) from error
