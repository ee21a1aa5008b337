"""The failure queue, as one run of `provision.redrive` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How long a message that was received stays hidden, in s: longer than a usual run, so that what is
# left does not return meanwhile. After a run that was killed, nobody can see it for so long.
HIDDEN_S = 3600
# So many receives in a row that find nothing end a run.
EMPTY_RECEIVES = 2
# The most messages that SQS takes in one call.
BATCH = 10


class FailureQueue:
    """Reads each message once. What was received is hidden until it is deleted or shown again.

    SQS returns a message again when `HIDDEN_S` have passed, and seldom also before, or after it
    was deleted. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs, self._url = sqs, url
        self._handles: dict[str, str] = {}  # of what is left: the newest, by the message's ID
        self._deleted: set[str] = set()

    @property
    def left(self) -> int:
        """The number of messages that were received and not deleted."""
        return len(self._handles)

    def hidden(self) -> int:
        """Return about how many messages are hidden. SQS counts them with some delay."""
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Return each message once, until the queue has nothing new.

        A message that returns is hidden again. So after as many in a row as there are, nothing else
        is visible.
        """
        empty = repeats = 0
        while empty < EMPTY_RECEIVES and repeats <= len(self._handles) + len(self._deleted):
            message = self._receive()
            if message is None:
                empty += 1
            elif message["MessageId"] in self._deleted:
                repeats += 1
                self._delete(message["ReceiptHandle"])
            elif message["MessageId"] in self._handles:
                repeats += 1
                self._handles[message["MessageId"]] = message["ReceiptHandle"]
            else:
                empty = repeats = 0
                self._handles[message["MessageId"]] = message["ReceiptHandle"]
                yield message

    def delete(self, message: Mapping[str, Any]) -> None:
        """Delete a message that was received."""
        self._delete(message["ReceiptHandle"])
        del self._handles[message["MessageId"]]
        self._deleted.add(message["MessageId"])

    def show_again(self) -> int:
        """Make what is left visible again. Return how many messages may still be hidden."""
        handles, failed = list(self._handles.values()), 0
        for start in range(0, len(handles), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + BATCH])
            ]
            try:
                answer = self._sqs.change_message_visibility_batch(
                    QueueUrl=self._url, Entries=entries
                )
                failed += len(answer.get("Failed", ()))
            except (BotoCoreError, ClientError):
                failed += len(entries)
        return failed

    def _receive(self) -> Mapping[str, Any] | None:
        received = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=HIDDEN_S,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])
        return received[0] if received else None

    def _delete(self, handle: str) -> None:
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
