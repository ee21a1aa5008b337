"""A notification: what comes in over SNS, and the envelope that clients receive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
MAX_ENVELOPE_BYTES = 128 * 1024
MAX_CLIENT_ID_BYTES = 128  # `$connect` accepts no longer one
ACCEPTED_CLIENT_IDS = (
    "a String, or a String.Array of at least one string, "
    f"each of 1 to {MAX_CLIENT_ID_BYTES} bytes of UTF-8"
)
SHOWN_CHARACTERS = 200


class NotificationError(RegistryError):
    """A notification cannot be delivered to anybody; `problem` tells why."""

    def __init__(self, notification_id: object, problem: str) -> None:
        super().__init__(notification_id, problem)
        self.notification_id = notification_id
        self.problem = problem

    def __str__(self) -> str:
        return f"notification {self.notification_id!r}: {self.problem}"


@dataclass(frozen=True)
class Notification:
    """What is to be delivered; `sent_at` is in epoch ms. No `client_ids` means every client."""

    id: str
    sent_at: int
    subject: str | None
    message: Any
    client_ids: tuple[str, ...] | None = None

    def envelope(self) -> bytes:
        """Give what clients receive; raises `NotificationError` when it is too large."""
        fields = {
            "type": "notification",
            "id": self.id,
            "sentAt": self.sent_at,
            "subject": self.subject,
            "message": self.message,
        }
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "replace")  # JSON can hold half of a surrogate pair
        if len(data) > MAX_ENVELOPE_BYTES:
            problem = f"its envelope is {len(data)} bytes; accepted is {MAX_ENVELOPE_BYTES}"
            raise NotificationError(self.id, problem)
        return data


def from_sns(event: Mapping[str, Any]) -> Notification:
    """Read an SNS event; raises `NotificationError` for a malformed one and an odd `clientId`.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    try:
        [record] = event["Records"]  # SNS never sends more
        sns = record["Sns"]
        return Notification(
            id=sns["MessageId"],
            sent_at=round(datetime.fromisoformat(sns["Timestamp"]).timestamp() * 1000),
            subject=sns["Subject"],
            message=_json_or_text(sns["Message"]),
            client_ids=_client_ids(sns["MessageId"], sns["MessageAttributes"].get("clientId")),
        )
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"the event is {_shown(event)}; accepted is an SNS event ({error!r})"
        raise NotificationError(None, problem) from error


def _json_or_text(text: str) -> Any:
    """Read JSON; what only Python takes for it, or cannot hold, stays text."""
    try:
        value = json.loads(text)
        json.dumps([value], allow_nan=False)  # one level deeper, as in the envelope
    except (ValueError, RecursionError):
        return text
    return value


def _client_ids(
    notification_id: str, attribute: Mapping[str, Any] | None
) -> tuple[str, ...] | None:
    if attribute is None:
        return None
    kind, value = attribute["Type"], attribute["Value"]
    named = {"String": [value], "String.Array": _json_or_text(value)}.get(kind)
    if not (isinstance(named, list) and named and all(map(_can_be_a_client, named))):
        problem = f"clientId is {_shown(attribute)}; accepted is {ACCEPTED_CLIENT_IDS}"
        raise NotificationError(notification_id, problem)
    return tuple(dict.fromkeys(named))


def _can_be_a_client(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.encode(errors="replace")) <= MAX_CLIENT_ID_BYTES


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
