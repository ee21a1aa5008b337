"""Every error that the application raises on purpose."""

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN_CHARACTERS = 200


def shown(value: object) -> str:
    """Return a value as text for a message: printable, and cut at 200 characters."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


class RegistryError(Exception):
    """Base class of the application's errors. Messages are safe to log.

    `reason` is the value of the metric dimension `cause` when the error refuses a handshake.
    """

    reason = "error"


class SettingsError(RegistryError):
    """An environment variable is missing or has an invalid value.

    `problem` says what is wrong with the value where that is not plain from `expected`.
    """

    reason = "settings"

    def __init__(self, variable: str, value: str | None, expected: str, problem: str = "") -> None:
        super().__init__(variable, value, expected, problem)
        self.variable = variable
        self.value = value
        self.expected = expected
        self.problem = problem

    def __str__(self) -> str:
        seen = "is not set" if self.value is None else f"is {self.value!r}"
        why = f" ({self.problem})" if self.problem else ""
        return f"{self.variable} {seen}; expected {self.expected}{why}"


class EventError(RegistryError):
    """A field of an API Gateway event has an invalid value."""

    reason = "event"

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(field, value, expected)
        self.field = field
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field} is {self.value!r}; expected {self.expected}"


class ForeignEventError(EventError):
    """A payload that API Gateway did not send, such as the ping of a warmer."""

    def __init__(self, context: object) -> None:
        super().__init__("requestContext", context, "an event of an API Gateway WebSocket API")


class TableError(RegistryError):
    """DynamoDB did not confirm an operation on `table`.

    `code` is DynamoDB's error code, the name of botocore's error when no answer came, or
    `NotStarted` when too little time was left.
    """

    def __init__(self, operation: str, table: str, code: str, cause: str) -> None:
        super().__init__(operation, table, code, cause)
        self.operation = operation
        self.table = table
        self.code = code
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.operation} on table {self.table!r} failed: {self.code}: {self.cause}"


class StoreError(TableError):
    """DynamoDB did not confirm an operation on the connections table.

    `uncertain` says that an attempt without an answer may have been carried out, `repeated` that
    such an attempt came before this answer. `item` is the row that failed a condition.
    """

    reason = "store"

    def __init__(
        self,
        operation: str,
        table: str,
        code: str,
        cause: str,
        *,
        uncertain: bool = False,
        repeated: bool = False,
        item: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(operation, table, code, cause)
        self.uncertain = uncertain
        self.repeated = repeated
        self.item = item


class SweepActiveError(RegistryError):
    """Another run of the sweep is active."""

    def __str__(self) -> str:
        return "another run of the sweep is active; its lease is in the row #sweep"


class MalformedRowError(RegistryError):
    """A row of the connections table is not a connection: `attribute` is missing or invalid.

    `value` is the attribute's value as DynamoDB returned it, or None.
    """

    reason = "unverified"

    def __init__(self, connection_id: str, attribute: str, value: object, expected: str) -> None:
        super().__init__(connection_id, attribute, value, expected)
        self.connection_id = connection_id
        self.attribute = attribute
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        seen = "is missing" if self.value is None else f"is {shown(self.value)}"
        return (
            f"row of connection {self.connection_id!r}: attribute {self.attribute!r} {seen}; "
            f"expected {self.expected}"
        )


class UnverifiedError(RegistryError):
    """The row that was read back is missing or differs from the one that was written."""

    reason = "unverified"

    def __init__(self, written: Mapping[str, object], stored: Mapping[str, object] | None) -> None:
        super().__init__(written, stored)
        self.written = written
        self.stored = stored

    def __str__(self) -> str:
        found = "no row" if self.stored is None else dict(self.stored)
        return f"row mismatch: wrote {dict(self.written)}, read {found}"


class TokenError(RegistryError):
    """A token is invalid. `check` names the check that failed and never contains the token."""

    def __init__(self, check: str) -> None:
        super().__init__(check)
        self.check = check

    def __str__(self) -> str:
        return f"invalid token: {self.check}"


class KeysUnavailableError(RegistryError):
    """The issuer's public keys could not be fetched."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__(address, cause)
        self.address = address
        self.cause = cause

    def __str__(self) -> str:
        return f"could not fetch keys from {self.address!r}: {self.cause}"


class NotificationError(RegistryError):
    """A notification is invalid and cannot be delivered to anybody."""

    def __init__(self, notification_id: object, problem: str) -> None:
        super().__init__(notification_id, problem)
        self.notification_id = notification_id
        self.problem = problem

    def __str__(self) -> str:
        return f"notification {self.notification_id!r}: {self.problem}"


class ContinuationError(RegistryError):
    """A delivery could not be continued in a new invocation."""

    def __init__(self, notification_id: str, cause: str) -> None:
        super().__init__(notification_id, cause)
        self.notification_id = notification_id
        self.cause = cause

    def __str__(self) -> str:
        return f"delivery of notification {self.notification_id!r} stopped: {self.cause}"


class HistoryError(TableError):
    """DynamoDB did not confirm an operation on the history.

    `is_lost` says that DynamoDB did not answer or failed, `is_contended` that it throttled the
    operation or another one was ahead of it. Either may succeed when it is tried again.
    """

    def __init__(
        self,
        operation: str,
        table: str,
        code: str,
        cause: str,
        *,
        is_lost: bool = False,
        is_contended: bool = False,
    ) -> None:
        super().__init__(operation, table, code, cause)
        self.is_lost = is_lost
        self.is_contended = is_contended


class QueueError(RegistryError):
    """SQS did not confirm an operation on a queue. `code` is as in `TableError`."""

    def __init__(self, operation: str, queue: str, code: str, cause: str) -> None:
        super().__init__(operation, queue, code, cause)
        self.operation = operation
        self.queue = queue
        self.code = code
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.operation} on queue {self.queue!r} failed: {self.code}: {self.cause}"


class QueuedMessageError(RegistryError):
    """A message of the queue `UNCLAIMED_QUEUE` is not one that `notify` sends."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        expected = '{"type": "unclaimed", "id": …, "clients": [[clientId, seq, isPosted], …], …}'
        return f"the message is {shown(self.text)}; expected {expected}, as notify sends it"


class AnnouncementError(RegistryError):
    """EventBridge did not take some of the events about a notification."""

    def __init__(self, notification_id: str, failures: Sequence[str]) -> None:
        super().__init__(notification_id, failures)
        self.notification_id = notification_id
        self.failures = failures

    def __str__(self) -> str:
        return (
            f"notification {self.notification_id!r}: {len(self.failures)} events not published; "
            f"the first: {self.failures[0]}"
        )


class UnsettledError(RegistryError):
    """An entry of the history has not shown yet although it was recorded."""

    def __init__(self, stream: str, seq: int) -> None:
        super().__init__(stream, seq)
        self.stream = stream
        self.seq = seq

    def __str__(self) -> str:
        return f"entry {self.seq} of stream {self.stream!r} does not show yet"


class RequestError(RegistryError):
    """A field of a client's message has an invalid value. `n` is the client's request number."""

    def __init__(self, field: str, value: object, expected: str, n: int | None) -> None:
        super().__init__(field, value, expected, n)
        self.field = field
        self.value = value
        self.expected = expected
        self.n = n

    def __str__(self) -> str:
        return f"{self.field} is {shown(self.value)}; expected {self.expected}"
