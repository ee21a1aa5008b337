"""A notification: the SNS event it arrives in, and the envelope that clients receive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import NotificationError, shown
from chalicelib.domain.history import PAGE_BYTES, POSITION_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
MAX_ENVELOPE_BYTES = 128 * 1024
# With a history, an envelope and the fields of its place have to fit a page.
MAX_RECORDED_BYTES = PAGE_BYTES - POSITION_BYTES
MAX_CLIENT_ID_BYTES = 128  # `$connect` refuses longer ones
# JSON is encoded by recursion, whose limit counts the frames of the callers, too.
SPARE_LEVELS = 20
EXPECTED_CLIENT_IDS = (
    "a String, or a String.Array of at least one string, "
    f"each of 1 to {MAX_CLIENT_ID_BYTES} bytes of UTF-8"
)


@dataclass(frozen=True)
class Notification:
    """A notification. `sent_at` is epoch ms; `client_ids` of None means every client.

    With `receipt`, it counts as unclaimed until a client has acknowledged it.
    """

    id: str
    sent_at: int
    subject: str | None
    message: Any
    client_ids: tuple[str, ...] | None = None
    receipt: bool = False

    def envelope(self, limit: int = MAX_ENVELOPE_BYTES, *, receipt: bool = False) -> bytes:
        """Return the JSON that clients receive, without its place in the history.

        With `receipt` it asks them to acknowledge it.
        Raises `NotificationError` if it has more than `limit` bytes.
        """
        fields: dict[str, Any] = {
            "type": "notification",
            "id": self.id,
            "sentAt": self.sent_at,
            "subject": self.subject,
            "message": self.message,
        }
        if receipt:
            fields["receipt"] = True
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "replace")  # JSON can hold half of a surrogate pair
        if len(data) > limit:
            problem = f"its envelope has {len(data)} bytes; expected at most {limit}"
            raise NotificationError(self.id, problem)
        return data


def from_sns(event: Mapping[str, Any]) -> Notification:
    """Parse an SNS event. Raises `NotificationError` if it or an attribute is invalid.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    try:
        [record] = event["Records"]  # SNS never sends more
        sns = record["Sns"]
        # SNS sends null and an empty object where there are none; others leave the two out.
        subject, attributes = sns.get("Subject"), sns.get("MessageAttributes") or {}
        client_ids = _client_ids(sns["MessageId"], attributes.get("clientId"))
        return Notification(
            id=_text(sns["MessageId"]),
            sent_at=round(datetime.fromisoformat(sns["Timestamp"]).timestamp() * 1000),
            subject=None if subject is None else _text(subject),
            message=_json_or_text(sns["Message"]),
            client_ids=client_ids,
            receipt=_receipt(sns["MessageId"], attributes.get("receipt"), client_ids),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"the event is {shown(event)}; expected an SNS event ({error!r})"
        raise NotificationError(None, problem) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is not text")
    return value


def _json_or_text(text: str) -> Any:
    """Parse strict JSON. Anything else, such as `NaN` or a number over a double, stays text."""
    try:
        value = json.loads(text, parse_int=_integer)
        json.dumps(_nested(value), allow_nan=False)
    except (OverflowError, ValueError, RecursionError):
        return text
    return value


def _nested(value: Any) -> Any:
    """Return a value as deep as in any envelope, and deeper than any caller needs it."""
    for _ in range(SPARE_LEVELS):
        value = [value]
    return value


def _integer(digits: str) -> int:
    number = int(digits)
    float(number)  # raises OverflowError where clients would read infinity
    return number


def _client_ids(
    notification_id: str, attribute: Mapping[str, Any] | None
) -> tuple[str, ...] | None:
    if attribute is None:
        return None
    kind, value = attribute["Type"], attribute["Value"]
    named = {"String": [value], "String.Array": _json_or_text(value)}.get(kind)
    if not (isinstance(named, list) and named and all(map(_is_client_id, named))):
        problem = f"clientId is {shown(attribute)}; expected {EXPECTED_CLIENT_IDS}"
        raise NotificationError(notification_id, problem)
    return tuple(dict.fromkeys(named))


def _receipt(
    notification_id: str,
    attribute: Mapping[str, Any] | None,
    client_ids: tuple[str, ...] | None,
) -> bool:
    if attribute is None:
        return False
    if (attribute["Type"], attribute["Value"]) != ("String", "required"):
        problem = f"receipt is {shown(attribute)}; expected the String required, or no receipt"
        raise NotificationError(notification_id, problem)
    if client_ids is None:
        problem = "receipt is set without clientId; expected both, since only named clients answer"
        raise NotificationError(notification_id, problem)
    return True


def _is_client_id(name: object) -> bool:
    if not isinstance(name, str):
        return False
    try:
        return 0 < len(name.encode()) <= MAX_CLIENT_ID_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair, which no client id contains
        return False
