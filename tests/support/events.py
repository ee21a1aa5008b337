"""Events of API Gateway, as documented and as seen in real ones."""

from collections.abc import Mapping, Sequence
from typing import Any

CONNECTION_ID = "L0SM9cOFvHcCIhw="
CONNECTED_AT = 1731324924561


def connect_event(
    connection_id: Any = CONNECTION_ID,
    *,
    headers: Mapping[str, Sequence[str]] | None = None,
    query: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the `$connect` event of a browser, with additional headers and parameters.

    Like API Gateway's, it has no fields for parameters unless the client sent any.
    """
    usual = {
        "Host": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
        "Origin": "https://dashboard.example.com",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "User-Agent": "Mozilla/5.0",
        "X-Amzn-Trace-Id": "Root=1-6731ebfc-0d2f0d3b1b2c3d4e5f607182",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    event = {
        **_values("headers", "multiValueHeaders", {n: [v] for n, v in usual.items()}, headers),
        "requestContext": _context(connection_id, "$connect", "CONNECT"),
        "isBase64Encoded": False,
    }
    if query:
        event |= _values("queryStringParameters", "multiValueQueryStringParameters", {}, query)
    return event


def disconnect_event(
    connection_id: Any = CONNECTION_ID,
    code: int | None = 1000,
    reason: str | None = "Connection Closed Normally",
    lasted_ms: int = 90_500,
) -> dict[str, Any]:
    """Return the `$disconnect` event of a connection that lasted `lasted_ms`."""
    headers = {
        "Host": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
        "x-api-key": "",
        "X-Forwarded-For": "",
        "x-restapi": "",
    }
    context = _context(connection_id, "$disconnect", "DISCONNECT")
    context["requestTimeEpoch"] = CONNECTED_AT + lasted_ms
    context["disconnectStatusCode"] = code
    context["disconnectReason"] = reason
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": context,
        "isBase64Encoded": False,
    }


def _values(
    single: str,
    many: str,
    usual: Mapping[str, Sequence[str]],
    more: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    values = {**usual, **(more or {})}
    return {
        single: {name: given[-1] for name, given in values.items() if given},
        many: {name: list(given) for name, given in values.items() if given},
    }


def _context(connection_id: Any, route: str, event_type: str) -> dict[str, Any]:
    return {
        "routeKey": route,
        "eventType": event_type,
        "messageDirection": "IN",
        "connectionId": connection_id,
        "connectedAt": CONNECTED_AT,
        "requestTime": "11/Nov/2024:11:35:24 +0000",
        "requestTimeEpoch": CONNECTED_AT + 4,
        "requestId": "NcWzvE4IIAMFUgQ=",
        "extendedRequestId": "NcWzvE4IIAMFUgQ=",
        "stage": "dev",
        "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
        "apiId": "abcdef1234",
        "identity": {"sourceIp": "203.0.113.7", "userAgent": "Mozilla/5.0"},
    }
