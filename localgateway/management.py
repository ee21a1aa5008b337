"""`@connections`: how a back end posts to, looks at and closes connections.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
Requests need not be signed; a signature is not looked at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgateway import bodies
from localgateway.connections import BufferFullError, GoneError, Registry
from localgateway.server import MESSAGE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from localgateway.connections import Connection

_NONE: MappingProxyType[str, str] = MappingProxyType({})
# What is left of a body that was not read to its end would be taken for the next request.
_CLOSE = MappingProxyType({"Connection": "close"})


class Connections(HTTPEndpoint):
    """One connection as a resource."""

    async def get(self, request: Request) -> Response:
        """Say since when the connection is open, when it was last active, and whose it is."""
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
        data = await _message(request)
        _connection(request).post(data)
        return Response()

    async def delete(self, request: Request) -> Response:
        """Close the connection; its client sees 1000."""
        _connection(request).close(1000, "")
        return Response(status_code=HTTPStatus.NO_CONTENT)


def management(stage: str, registry: Registry) -> Starlette:
    """Build the HTTP side of the API."""
    application = Starlette(
        routes=[
            Route(f"/{stage}", _upgrade_required),
            Route(f"/{stage}/@connections/{{connection_id}}", Connections),
        ],
        exception_handlers={
            GoneError: _gone,
            BufferFullError: _limit_exceeded,
            bodies.TooLargeError: _too_large,
            bodies.UnreadableError: _bad_request,
            HTTPException: _forbidden,
        },
    )
    application.state.registry = registry
    return application


def _connection(request: Request) -> Connection:
    registry: Registry = request.app.state.registry
    return registry.get(request.path_params["connection_id"])


async def _message(request: Request) -> bytes:
    body = await bodies.read(request, MESSAGE_LIMIT)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise bodies.UnreadableError(f"the body is not UTF-8 text: {error}") from error
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
