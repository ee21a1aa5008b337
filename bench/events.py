"""The events that the benches serve: API Gateway's, with the fields that it sends."""

from typing import Any


def _context(connection_id: str, route: str, event_type: str) -> dict[str, Any]:
    return {
        "routeKey": route,
        "eventType": event_type,
        "messageDirection": "IN",
        "connectionId": connection_id,
        "connectedAt": 1731324924561,
        "requestTime": "11/Nov/2024:11:35:24 +0000",
        "requestTimeEpoch": 1731324924561,
        "requestId": "NcWzvE4IIAMFUgQ=",
        "extendedRequestId": "NcWzvE4IIAMFUgQ=",
        "stage": "dev",
        "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
        "apiId": "abcdef1234",
        "identity": {"sourceIp": "203.0.113.7", "userAgent": "bench"},
    }


def connect_event(connection_id: str) -> dict[str, Any]:
    """Give a `$connect` event."""
    return {
        "headers": {"Host": "abcdef1234.execute-api.eu-west-1.amazonaws.com"},
        "multiValueHeaders": {"Host": ["abcdef1234.execute-api.eu-west-1.amazonaws.com"]},
        "requestContext": _context(connection_id, "$connect", "CONNECT"),
        "isBase64Encoded": False,
    }


def disconnect_event(connection_id: str) -> dict[str, Any]:
    """Give a `$disconnect` event of a client that closed with 1000."""
    end = {"disconnectStatusCode": 1000, "disconnectReason": "Connection Closed Normally"}
    return {
        "headers": {"Host": "abcdef1234.execute-api.eu-west-1.amazonaws.com", "x-api-key": ""},
        "multiValueHeaders": {"Host": ["abcdef1234.execute-api.eu-west-1.amazonaws.com"]},
        "requestContext": _context(connection_id, "$disconnect", "DISCONNECT") | end,
        "isBase64Encoded": False,
    }
