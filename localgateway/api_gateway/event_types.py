"""The types of the events that API Gateway sends to functions.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping


class Identity(TypedDict):
    """The client that opened the connection."""

    sourceIp: str
    userAgent: NotRequired[str]


class RequestContext(TypedDict):
    """API Gateway's description of the connection and of this event."""

    routeKey: str
    eventType: Literal["CONNECT", "MESSAGE", "DISCONNECT"]
    messageDirection: Literal["IN"]
    connectionId: str
    connectedAt: int
    requestTime: str
    requestTimeEpoch: int
    requestId: str
    extendedRequestId: str
    stage: str
    domainName: str
    apiId: str
    identity: Identity
    messageId: NotRequired[str]
    disconnectStatusCode: NotRequired[int]
    disconnectReason: NotRequired[str]
    authorizer: NotRequired[Mapping[str, Any]]


class ConnectEvent(TypedDict):
    """A client wants to open a connection."""

    headers: dict[str, str]
    multiValueHeaders: dict[str, list[str]]
    queryStringParameters: NotRequired[dict[str, str]]
    multiValueQueryStringParameters: NotRequired[dict[str, list[str]]]
    requestContext: RequestContext
    isBase64Encoded: bool


class MessageEvent(TypedDict):
    """A client has sent a text message."""

    requestContext: RequestContext
    body: str
    isBase64Encoded: bool


class DisconnectEvent(TypedDict):
    """A connection has ended."""

    headers: dict[str, str]
    multiValueHeaders: dict[str, list[str]]
    requestContext: RequestContext
    isBase64Encoded: bool
