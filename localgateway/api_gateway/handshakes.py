"""Handshakes: check the address and the number of connections, run `$connect`, open or refuse.

An authorizer would run in `Handshakes.connect`, before `$connect`.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from localgateway.api_gateway import events
from localgateway.api_gateway.quotas import INTEGRATION_TIMEOUT
from localgateway.api_gateway.responses import Accepted, Refused, admit, notice

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

    from localgateway.api_gateway.connections import Registry
    from localgateway.lambda_runtime.functions import Function

_log = logging.getLogger(__name__)


class Handshakes:
    """Accepts or refuses handshakes of one API; `function` is the one of `$connect`, if any."""

    def __init__(self, api: events.Api, function: Function | None, registry: Registry) -> None:
        self._api = api
        self._function = function
        self._registry = registry

    def screen(self, path: str) -> Refused | None:
        """Refuse a wrong path, or one connection too many, before any function runs."""
        if path not in (f"/{self._api.stage}", f"/{self._api.stage}/"):
            return Refused(HTTPStatus.FORBIDDEN, f"no stage at {path}")
        if self._registry.full:
            return Refused(HTTPStatus.TOO_MANY_REQUESTS, "--max-connections reached")
        return None

    async def connect(
        self, client: events.Client, handshake: events.Handshake, occasion: events.Occasion
    ) -> Accepted | Refused:
        """Run `$connect` and decide on its outcome; accept if the API has no `$connect`."""
        if self._function is None:
            return Accepted()
        event = events.connect_event(
            self._api, client, handshake, occasion, events.new_trace_id(occasion.at)
        )
        return admit(await self._function.invoke(event, INTEGRATION_TIMEOUT))


async def refuse(
    send: Send, client: events.Client, occasion: events.Occasion, refused: Refused
) -> None:
    """Send the HTTP response that refuses a handshake."""
    _log.warning("handshake refused: %d %s", refused.status, refused.cause)
    body = refused.body or notice(_message(refused.status), client.connection_id, occasion)
    start: Message = {
        "type": "websocket.http.response.start",
        "status": refused.status,
        "headers": [(b"content-type", b"application/json")],
    }
    try:
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body.encode()})
    except OSError:
        _log.info("%s disconnected before it was refused", client.source_ip)


def read_handshake(scope: Scope) -> events.Handshake:
    """Return the headers, query string and source address of an ASGI scope."""
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    )
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    host, _ = scope["client"] or ("", 0)  # None if the client has already disconnected
    return events.Handshake(host, headers, tuple(query))


def _message(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Internal server error"
    return next((known.phrase for known in HTTPStatus if known == status), "Refused")
