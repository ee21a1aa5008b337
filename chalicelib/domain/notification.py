"""A notification: the SNS event it arrives in, and the envelope that clients receive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import NotificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
MAX_ENVELOPE_BYTES = 128 * 1024
MAX_CLIENT_ID_BYTES = 128  # `$connect` refuses longer ones
EXPECTED_CLIENT_IDS = (
    "a String, or a String.Array of at least one string, "
    f"each of 1 to {MAX_CLIENT_ID_BYTES} bytes of UTF-8"
)
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Notification:
    """A notification. `sent_at` is epoch ms; `client_ids` of None means every client."""

    id: str
    sent_at: int
    subject: str | None
    message: Any
    client_ids: tuple[str, ...] | None = None

    def envelope(self) -> bytes:
        """Return the JSON that clients receive. Raises `NotificationError` if it is too large."""
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
            problem = f"its envelope has {len(data)} bytes; expected at most {MAX_ENVELOPE_BYTES}"
            raise NotificationError(self.id, problem)
        return data


def from_sns(event: Mapping[str, Any]) -> Notification:
    """Parse an SNS event. Raises `NotificationError` if it, or its `clientId`, is invalid.

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
        problem = f"the event is {_shown(event)}; expected an SNS event ({error!r})"
        raise NotificationError(None, problem) from error


def _json_or_text(text: str) -> Any:
    """Parse strict JSON. Anything else, such as `NaN`, stays text."""
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
    if not (isinstance(named, list) and named and all(map(_is_client_id, named))):
        problem = f"clientId is {_shown(attribute)}; expected {EXPECTED_CLIENT_IDS}"
        raise NotificationError(notification_id, problem)
    return tuple(dict.fromkeys(named))


def _is_client_id(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.encode(errors="replace")) <= MAX_CLIENT_ID_BYTES


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
