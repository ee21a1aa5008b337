"""What API Gateway says of a connection, taken from its events.

The fields are those of
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from chalicelib.errors import EventError


@dataclass(frozen=True)
class Ended:
    """How API Gateway reports the end of a connection.

    `code` and `reason` are None when it does not know them. `duration_s` is in seconds by API
    Gateway's own clock, or None when the event does not tell.
    """

    connection_id: str
    code: int | None
    reason: str | None
    duration_s: float | None


def connection_id(event: Mapping[str, Any]) -> str:
    """Take the connection's id; raises `EventError` when it is not a string or is empty."""
    value = event["requestContext"].get("connectionId")
    if not isinstance(value, str) or not value.strip():
        raise EventError("requestContext.connectionId", value, "a string that is not empty")
    return value


def ended(event: Mapping[str, Any]) -> Ended:
    """Read a `$disconnect` event; raises `EventError` for an unusable connection id."""
    context = event["requestContext"]
    code = context.get("disconnectStatusCode")
    reason = context.get("disconnectReason")
    return Ended(
        connection_id=connection_id(event),
        code=code if _is_integer(code) else None,
        reason=reason if isinstance(reason, str) else None,
        duration_s=_seconds_between(context.get("connectedAt"), context.get("requestTimeEpoch")),
    )


def _seconds_between(start_ms: object, end_ms: object) -> float | None:
    if not _is_integer(start_ms) or not _is_integer(end_ms):
        return None
    return max(0, end_ms - start_ms) / 1000


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
