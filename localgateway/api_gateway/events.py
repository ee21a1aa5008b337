"""Builds the events that API Gateway sends to the functions of a WebSocket API.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from localgateway.api_gateway.event_types import (
        ConnectEvent,
        DisconnectEvent,
        Identity,
        MessageEvent,
        RequestContext,
    )

# RFC 9110, section 7.6.1: these headers concern one hop, so the gateway does not forward them.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)

_REASONS = {
    1000: "Connection Closed Normally",
    1001: "Going away",
    1002: "Protocol error",
    1003: "Unsupported data",
    1005: "Client-side close frame status not set",
    1006: "Connection closed abnormally",
    1007: "Invalid payload data",
    1008: "Policy violation",
    1009: "Message too big",
    1011: "Internal server error",
}


@dataclass(frozen=True)
class Api:
    """The API that clients see; `domain_name` is host:port, for lack of a domain."""

    stage: str
    domain_name: str
    port: int
    api_id: str = "local00000"


@dataclass(frozen=True)
class Handshake:
    """The request that opens a connection, with header names as the client wrote them."""

    source_ip: str
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    @property
    def user_agent(self) -> str | None:
        """Return the last User-Agent header, or None."""
        values = [value for name, value in self.headers if name.lower() == "user-agent"]
        return values[-1] if values else None


@dataclass(frozen=True)
class Client:
    """A connection and its client; `connected_at` is in epoch ms.

    `authorizer` is what a Lambda authorizer adds to the request context.
    """

    connection_id: str
    connected_at: int
    source_ip: str
    user_agent: str | None = None
    authorizer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Occasion:
    """The id of an event and its time, in epoch ms."""

    request_id: str
    at: int


def new_id() -> str:
    """Return a new id for a connection, request or message, in API Gateway's format."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()


def occasion_now() -> Occasion:
    """Return an occasion with a new id and the current time."""
    return Occasion(new_id(), round(time.time() * 1000))


def new_trace_id(at: int) -> str:
    """Return a new AWS X-Ray trace id; `at` is in epoch ms."""
    return f"Root=1-{at // 1000:08x}-{secrets.token_hex(12)}"


def close_reason(code: int, given: str | None) -> str:
    """Return the `disconnectReason`: the given reason, or API Gateway's text for the code."""
    return given or _REASONS.get(code, "")


def connect_event(
    api: Api, client: Client, handshake: Handshake, occasion: Occasion, trace_id: str
) -> ConnectEvent:
    """Return the `$connect` event; it has no query string fields if the client sent none."""
    headers = _multi_value(_forwarded(api, handshake, trace_id))
    event: ConnectEvent = {
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "requestContext": _context(api, client, occasion, "$connect", "CONNECT"),
        "isBase64Encoded": False,
    }
    if handshake.query:
        query: dict[str, list[str]] = {}
        for name, value in handshake.query:
            query.setdefault(name, []).append(value)
        event["queryStringParameters"] = _last(query)
        event["multiValueQueryStringParameters"] = query
    return event


def message_event(
    api: Api, client: Client, occasion: Occasion, route_key: str, body: str
) -> MessageEvent:
    """Return the event of a text message on the selected route."""
    context = _context(api, client, occasion, route_key, "MESSAGE")
    context["messageId"] = occasion.request_id
    return {"requestContext": context, "body": body, "isBase64Encoded": False}


def disconnect_event(
    api: Api, client: Client, occasion: Occasion, code: int, reason: str | None
) -> DisconnectEvent:
    """Return the `$disconnect` event, with stub headers and no query string."""
    context = _context(api, client, occasion, "$disconnect", "DISCONNECT")
    context["disconnectStatusCode"] = code
    context["disconnectReason"] = close_reason(code, reason)
    headers = {"Host": api.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": context,
        "isBase64Encoded": False,
    }


def _context(
    api: Api,
    client: Client,
    occasion: Occasion,
    route_key: str,
    event_type: Literal["CONNECT", "MESSAGE", "DISCONNECT"],
) -> RequestContext:
    moment = datetime.fromtimestamp(occasion.at / 1000, UTC)
    identity: Identity = {"sourceIp": client.source_ip}
    if client.user_agent is not None:
        identity["userAgent"] = client.user_agent
    authorizer = {} if client.authorizer is None else {"authorizer": client.authorizer}
    return {
        **authorizer,  # type: ignore[typeddict-item] # the key is optional
        "routeKey": route_key,
        "eventType": event_type,
        "messageDirection": "IN",
        "connectionId": client.connection_id,
        "connectedAt": client.connected_at,
        "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": occasion.at,
        "requestId": occasion.request_id,
        "extendedRequestId": occasion.request_id,
        "stage": api.stage,
        "domainName": api.domain_name,
        "apiId": api.api_id,
        "identity": identity,
    }


def _forwarded(api: Api, handshake: Handshake, trace_id: str) -> Iterable[tuple[str, str]]:
    own = {"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"}
    hops = [value for name, value in handshake.headers if name.lower() == "x-forwarded-for"]
    for name, value in handshake.headers:
        lower = name.lower()
        if lower not in _HOP_BY_HOP | own and not lower.startswith("proxy-"):
            yield name, value
    yield "X-Amzn-Trace-Id", trace_id
    yield "X-Forwarded-For", ", ".join([*hops, handshake.source_ip])
    yield "X-Forwarded-Port", str(api.port)
    yield "X-Forwarded-Proto", "http"


def _multi_value(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    spelling: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(spelling.setdefault(name.lower(), name), []).append(value)
    return values


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: given[-1] for name, given in values.items()}
