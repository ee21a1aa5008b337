"""Handshakes: check address and limits, run the authorizer and `$connect`, open or refuse."""

from __future__ import annotations

import dataclasses
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from localgateway.access_log import note
from localgateway.api_gateway import events
from localgateway.api_gateway.quotas import INTEGRATION_TIMEOUT, URL_LENGTH
from localgateway.api_gateway.responses import Accepted, Refused, admit, notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Scope, Send

    from localgateway.api_gateway.connections import Registry
    from localgateway.api_gateway.settings import ApiSettings
    from localgateway.lambda_runtime.functions import Function

_log = logging.getLogger(__name__)


class Allowance:
    """Handshakes a second: at most `rate` at once, and so many more in each second."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._left = max(rate or 0.0, 1.0)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Return whether one more is allowed at a time in seconds."""
        if self._rate is None:
            return True
        passed = now - (now if self._at is None else self._at)
        self._left = min(max(self._rate, 1.0), self._left + passed * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Handshakes:
    """Accepts or refuses handshakes of one API; `functions` are by route key."""

    def __init__(
        self,
        api: events.Api,
        functions: Mapping[str, Function],
        registry: Registry,
        settings: ApiSettings,
    ) -> None:
        self._api = api
        self._settings = settings
        self._allowance = Allowance(settings.connect_rate)
        self._functions = functions
        self._registry = registry

    def screen(self, path: str, query: bytes) -> Refused | None:
        """Refuse a wrong or long address, or one connection too many, before any function runs."""
        length = len(f"ws://{self._api.domain_name}{path}?") + len(query)
        if length - (not query) > URL_LENGTH:
            return Refused(HTTPStatus.REQUEST_URI_TOO_LONG, f"the URL exceeds {URL_LENGTH}")
        if path not in (f"/{self._api.stage}", f"/{self._api.stage}/"):
            return Refused(HTTPStatus.FORBIDDEN, f"no stage at {path}")
        if self._registry.full:
            return Refused(HTTPStatus.TOO_MANY_REQUESTS, "--max-connections reached")
        if not self._allowance.take(time.monotonic()):
            return Refused(HTTPStatus.TOO_MANY_REQUESTS, "--connect-rate reached")
        return None

    async def connect(
        self, client: events.Client, handshake: events.Handshake, occasion: events.Occasion
    ) -> Accepted | Refused:
        """Run the authorizer and `$connect`, if the API has them, and decide on their outcomes."""
        event = events.connect_event(
            self._api, client, handshake, occasion, events.new_trace_id(occasion.at)
        )
        authorized: dict[str, Any] | None = None
        if authorizer := self._settings.authorizer():
            answer = await authorizer.authorize(event)
            if isinstance(answer, Refused):
                return answer
            event["requestContext"]["authorizer"] = authorized = answer
        function = self._functions.get("$connect")
        if function is None:
            return Accepted(authorizer=authorized)
        decision = admit(await function.invoke(event, INTEGRATION_TIMEOUT))
        if isinstance(decision, Accepted):
            return dataclasses.replace(decision, authorizer=authorized)
        return decision


async def refuse(
    send: Send, client: events.Client, occasion: events.Occasion, refused: Refused
) -> None:
    """Send the HTTP response that refuses a handshake."""
    note(
        "handshake refused",
        level="WARNING",
        status=int(refused.status),
        cause=refused.cause,
        connectionId=client.connection_id,
        ms=since(occasion),
        route="$connect",
    )
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


def note_opening(
    client: events.Client, occasion: events.Occasion, function: Function | None
) -> None:
    """Write the access log's line of an open connection."""
    note(
        "opened",
        status=int(HTTPStatus.SWITCHING_PROTOCOLS),
        connectionId=client.connection_id,
        ms=since(occasion),
        route="$connect",
        function=function and function.definition.name,
    )


def since(occasion: events.Occasion) -> float:
    """Return the time since an occasion in ms."""
    return round(time.time() * 1000 - occasion.at, 1)


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
