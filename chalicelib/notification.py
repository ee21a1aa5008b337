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


class NotificationError(RegistryError):
    """A notification cannot be delivered to anybody; `problem` tells why."""

    def __init__(self, notification_id: str, problem: str) -> None:
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
        data = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
        if len(data) > MAX_ENVELOPE_BYTES:
            problem = f"its envelope is {len(data)} bytes; accepted is {MAX_ENVELOPE_BYTES}"
            raise NotificationError(self.id, problem)
        return data


def from_sns(record: Mapping[str, Any]) -> Notification:
    """Read one record of an SNS event; raises `NotificationError` for an odd `clientId`.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    sns = record["Sns"]
    moment = datetime.fromisoformat(sns["Timestamp"].replace("Z", "+00:00"))
    return Notification(
        id=sns["MessageId"],
        sent_at=round(moment.timestamp() * 1000),
        subject=sns.get("Subject"),
        message=_json_or_text(sns["Message"]),
        client_ids=_client_ids(sns["MessageId"], sns.get("MessageAttributes") or {}),
    )


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _client_ids(notification_id: str, attributes: Mapping[str, Any]) -> tuple[str, ...] | None:
    attribute = attributes.get("clientId")
    if attribute is None:
        return None
    value = attribute.get("Value")
    named = _json_or_text(value) if attribute.get("Type") == "String.Array" else [value]
    if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
        problem = f"clientId is {attribute!r}; accepted is a String or a String.Array of strings"
        raise NotificationError(notification_id, problem)
    return tuple(dict.fromkeys(named))
