"""The `$connect` and `$disconnect` events of API Gateway.

Fields as documented at
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from chalicelib.domain.errors import EventError, ForeignEventError


@dataclass(frozen=True)
class Handshake:
    """A client's request to open a connection. A field that is None was not in the event.

    `client_ids` and `token` are query parameters, `authorization` and `origin` are headers, and
    `subprotocols` are those offered, in order. `connected_at` is epoch ms.
    """

    connection_id: str
    client_ids: tuple[str, ...] = ()
    authorization: str | None = None
    token: str | None = None
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    connected_at: int | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    api_id: str | None = None
    stage: str | None = None
    domain_name: str | None = None


@dataclass(frozen=True)
class Ended:
    """The end of a connection as API Gateway reports it.

    `code` and `reason` are None when API Gateway does not know them. `duration_s` is in seconds
    by API Gateway's clock, or None when the event lacks the times. `connected_at` and
    `ended_at` are epoch ms.
    """

    connection_id: str
    code: int | None
    reason: str | None
    duration_s: float | None
    connected_at: int | None = None
    ended_at: int | None = None


# A connection lasts at most 2 hours. Times that are a day apart are wrong, or not both in ms.
_IMPLAUSIBLE_MS = 24 * 3600 * 1000
# What Chalice reads of `requestContext` before it calls a handler.
_ALWAYS_SENT = ("connectionId", "apiId", "stage", "domainName")


def check(event: object) -> None:
    """Raise `EventError` unless `event` names a connection and its API, as API Gateway's do."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(context, dict):
        raise ForeignEventError(context)
    for name in _ALWAYS_SENT:
        value = context.get(name)
        if not isinstance(value, str) or not value.strip():
            raise EventError(f"requestContext.{name}", value, "a non-empty string")


def connection_id(event: Mapping[str, Any]) -> str:
    """Return the connection's id. Raises `EventError` unless it is a non-empty string."""
    value = event["requestContext"].get("connectionId")
    if not isinstance(value, str) or not value.strip():
        raise EventError("requestContext.connectionId", value, "a non-empty string")
    return value


def handshake(event: Mapping[str, Any]) -> Handshake:
    """Parse a `$connect` event. Raises `EventError` for an invalid connection id."""
    context = event["requestContext"]
    identity = _mapping(context.get("identity"))
    headers = {
        name.lower(): values for name, values in _multi(event, "multiValueHeaders", "headers")
    }
    query = dict(_multi(event, "multiValueQueryStringParameters", "queryStringParameters"))
    offered = ",".join(headers.get("sec-websocket-protocol", ()))
    connected_at = context.get("connectedAt")
    return Handshake(
        connection_id=connection_id(event),
        client_ids=query.get("clientId", ()),
        authorization=_last(headers.get("authorization")),
        token=_last(query.get("token")),
        subprotocols=tuple(name.strip() for name in offered.split(",") if name.strip()),
        origin=_last(headers.get("origin")),
        connected_at=connected_at if _is_integer(connected_at) else None,
        source_ip=_text(identity.get("sourceIp")),
        user_agent=_text(identity.get("userAgent")),
        api_id=_text(context.get("apiId")),
        stage=_text(context.get("stage")),
        domain_name=_text(context.get("domainName")),
    )


def ended(event: Mapping[str, Any]) -> Ended:
    """Parse a `$disconnect` event. Raises `EventError` for an invalid connection id."""
    context = event["requestContext"]
    code = context.get("disconnectStatusCode")
    connected_at, ended_at = context.get("connectedAt"), context.get("requestTimeEpoch")
    return Ended(
        connection_id=connection_id(event),
        code=code if _is_integer(code) else None,
        reason=_text(context.get("disconnectReason")),
        duration_s=_seconds_between(connected_at, ended_at),
        connected_at=connected_at if _is_integer(connected_at) else None,
        ended_at=ended_at if _is_integer(ended_at) else None,
    )


def _multi(event: Mapping[str, Any], many: str, single: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return each name with all its values. A hand-made event may have only the single form."""
    values = _mapping(event.get(many)) or _mapping(event.get(single))
    return [(name, _texts(value)) for name, value in values.items()]


def _texts(value: object) -> tuple[str, ...]:
    """Return the strings in `value`, which may be one string where a list is due."""
    values = value if isinstance(value, list) else [value]
    return tuple([each for each in values if isinstance(each, str)])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _last(values: tuple[str, ...] | None) -> str | None:
    return values[-1] if values else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds_between(start_ms: object, end_ms: object) -> float | None:
    if not _is_integer(start_ms) or not _is_integer(end_ms):
        return None
    lasted_ms = max(0, end_ms - start_ms)
    return lasted_ms / 1000 if lasted_ms <= _IMPLAUSIBLE_MS else None


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
