"""API Gateway's reactions to the response of a function."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from localgateway.api_gateway.quotas import INTEGRATION_TIMEOUT
from localgateway.lambda_runtime.outcomes import Failed, Returned, TimedOut, cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from localgateway.api_gateway.events import Occasion
    from localgateway.lambda_runtime.outcomes import Outcome

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Accepted:
    """The handshake succeeds; `subprotocol` is the one that the function selected.

    `authorizer` is what a Lambda authorizer adds to the request context.
    """

    subprotocol: str | None = None
    authorizer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Refused:
    """The handshake is refused; without a `body`, API Gateway sends its own."""

    status: int
    cause: str
    body: str | None = None


def admit(outcome: Outcome) -> Accepted | Refused:
    """Accept or refuse a handshake based on the outcome of `$connect`."""
    match outcome:
        case TimedOut():
            return Refused(HTTPStatus.GATEWAY_TIMEOUT, cause(outcome))
        case Failed():
            return Refused(HTTPStatus.BAD_GATEWAY, cause(outcome))
    response = outcome.payload
    status = _status(response)
    if status is None:
        return Refused(HTTPStatus.BAD_GATEWAY, f"response has no valid statusCode: {response!r}")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return Refused(status, "from $connect", _body(response))
    subprotocol = _header(response, "sec-websocket-protocol")
    if subprotocol is not None and not _TOKEN.fullmatch(subprotocol):
        return Refused(HTTPStatus.BAD_GATEWAY, f"invalid subprotocol: {subprotocol!r}")
    return Accepted(subprotocol)


def reply(
    outcome: Outcome, connection_id: str, occasion: Occasion, *, route_response: bool
) -> str | None:
    """Return the text to send back to the client of a message, or None.

    What a function returns reaches the client only if the route has a route response.
    """
    if isinstance(outcome, Returned) and _status(outcome.payload) is not None:
        return _body(outcome.payload) if route_response else None
    if isinstance(outcome, TimedOut) and outcome.seconds >= INTEGRATION_TIMEOUT:
        return notice("Endpoint request timed out", connection_id, occasion)
    return notice("Internal server error", connection_id, occasion)


def failure(outcome: Outcome) -> str | None:
    """Return why an invocation failed, or None if it succeeded."""
    match outcome:
        case Returned(payload=payload):
            return None if _status(payload) is not None else f"invalid response {payload!r}"
        case _:
            return cause(outcome)


def notice(message: str, connection_id: str, occasion: Occasion) -> str:
    """Return one of API Gateway's own messages to a client, as JSON."""
    return json.dumps(
        {"message": message, "connectionId": connection_id, "requestId": occasion.request_id}
    )


def _status(response: object) -> int | None:
    status = response.get("statusCode") if isinstance(response, dict) else None
    if isinstance(status, str) and len(status) == 3 and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool):
        return None
    return status if HTTPStatus.OK <= status < 600 else None


def _body(response: dict[str, Any]) -> str | None:
    body = response.get("body")
    # JSON can carry a lone surrogate, which cannot be encoded as UTF-8.
    return body.encode(errors="replace").decode() if isinstance(body, str) and body else None


def _header(response: dict[str, Any], wanted: str) -> str | None:
    values = [value for name, value in _headers(response) if name.lower() == wanted]
    return values[0] if values else None


def _headers(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("headers", "multiValueHeaders"):
        headers = response.get(field)
        for name, value in headers.items() if isinstance(headers, dict) else ():
            for each in _values(value):
                yield name, str(each)


def _values(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else [value]
