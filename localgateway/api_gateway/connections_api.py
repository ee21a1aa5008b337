"""`@connections`: post to, look up and close connections over HTTP.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
Under one address for all AWS services, which names no stage, the path begins with `@connections`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgateway import request_bodies
from localgateway.access_log import milliseconds
from localgateway.api_gateway.connections import BufferFullError, GoneError, Registry
from localgateway.api_gateway.quotas import MESSAGE_SIZE
from localgateway.observer.events import ConnectionsCall
from localgateway.observer.observer import content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from localgateway.api_gateway.connections import Connection
    from localgateway.api_gateway.faults import Faults
    from localgateway.observer.observer import Observer

_NONE: MappingProxyType[str, str] = MappingProxyType({})
# The unread rest of a body would otherwise be parsed as the next request.
_CLOSE = MappingProxyType({"Connection": "close"})


class ConnectionResource(HTTPEndpoint):
    """One connection as an HTTP resource."""

    async def get(self, request: Request) -> Response:
        """Return when the connection opened and was last active, and the client's identity."""
        connection = _connection(request)
        return JSONResponse(
            {
                "connectedAt": _iso(connection.client.connected_at),
                "identity": {
                    "sourceIp": connection.client.source_ip,
                    "userAgent": connection.client.user_agent or "",
                },
                "lastActiveAt": _iso(connection.active_at),
            }
        )

    async def post(self, request: Request) -> Response:
        """Send the body to the client as a text message."""
        data = request.state.text = await _message(request)
        faults: Faults = request.app.state.faults
        request.state.lost = not faults.deliver(_connection(request), data)
        return Response()

    async def delete(self, request: Request) -> Response:
        """Close the connection with 1000."""
        _connection(request).close(1000, "")
        return Response(status_code=HTTPStatus.NO_CONTENT)


def connections_api(stage: str, registry: Registry, faults: Faults, observer: Observer) -> ASGIApp:
    """Return the HTTP application of one stage."""
    application = Starlette(
        routes=[
            Route(f"/{stage}", _upgrade_required),
            Route(f"/{stage}/@connections/{{connection_id}}", ConnectionResource),
            Route("/@connections/{connection_id}", ConnectionResource),
        ],
        exception_handlers={
            GoneError: _gone,
            BufferFullError: _limit_exceeded,
            request_bodies.TooLargeError: _too_large,
            request_bodies.UnreadableError: _bad_request,
            HTTPException: _forbidden,
        },
    )
    application.state.registry = registry
    application.state.faults = faults
    return _recorded(application, observer)


def _recorded(application: ASGIApp, observer: Observer) -> ASGIApp:
    async def record(scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await application(scope, receive, answer)
        if connection_id := scope.get("path_params", {}).get("connection_id"):
            state = scope.get("state", {})
            observer.record(
                ConnectionsCall(
                    connection_id,
                    scope["method"],
                    status,
                    milliseconds(time.monotonic() - started),
                    content(state.get("text", b"")),
                    state.get("lost", False),
                )
            )

    return record


def _connection(request: Request) -> Connection:
    registry: Registry = request.app.state.registry
    return registry.get(request.path_params["connection_id"])


async def _message(request: Request) -> bytes:
    body = await request_bodies.read(request, MESSAGE_SIZE)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise request_bodies.UnreadableError(f"the body is not UTF-8 text: {error}") from error
    return body


def _iso(at: int) -> str:
    return (
        datetime.fromtimestamp(at / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


async def _upgrade_required(_: Request) -> Response:
    return JSONResponse(
        {"message": "Upgrade Required"}, HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"}
    )


async def _gone(*_: object) -> Response:
    return _error(HTTPStatus.GONE, "GoneException", None)


async def _limit_exceeded(*_: object) -> Response:
    return _error(HTTPStatus.TOO_MANY_REQUESTS, "LimitExceededException", None)


async def _too_large(_: Request, error: Exception) -> Response:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _error(status, "PayloadTooLargeException", str(error), _CLOSE)


async def _bad_request(_: Request, error: Exception) -> Response:
    return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", str(error), _CLOSE)


async def _forbidden(*_: object) -> Response:
    return _error(HTTPStatus.FORBIDDEN, "ForbiddenException", "Forbidden")


def _error(
    status: HTTPStatus, kind: str, message: str | None, headers: Mapping[str, str] = _NONE
) -> Response:
    return JSONResponse({"message": message}, status, {"x-amzn-ErrorType": kind, **headers})
