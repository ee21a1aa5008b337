"""What API Gateway makes of the answer of a function."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from localgateway.events import Occasion

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Returned:
    """The function returned this, as JSON carried it."""

    payload: Any


@dataclass(frozen=True)
class Failed:
    """The function raised, its environment died, or it never started.

    `error` is what Lambda tells of an exception: its type, message and stack trace.
    """

    cause: str
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TimedOut:
    """The function, or the wait for an environment, took longer than it may."""

    seconds: float


Outcome = Returned | Failed | TimedOut


@dataclass(frozen=True)
class Accepted:
    """The connection opens."""

    subprotocol: str | None = None


@dataclass(frozen=True)
class Refused:
    """The handshake is refused; without a body of the function's, API Gateway gives its own."""

    status: int
    cause: str
    body: str | None = None


def admit(outcome: Outcome) -> Accepted | Refused:
    """Decide over a handshake by what became of its `$connect`."""
    match outcome:
        case TimedOut():
            return Refused(HTTPStatus.GATEWAY_TIMEOUT, cause(outcome))
        case Failed():
            return Refused(HTTPStatus.BAD_GATEWAY, cause(outcome))
    answer = outcome.payload
    status = _status(answer)
    if status is None:
        return Refused(HTTPStatus.BAD_GATEWAY, f"not an answer with a statusCode: {answer!r}")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return Refused(status, "the function's answer", _body(answer))
    subprotocol = _header(answer, "sec-websocket-protocol")
    if subprotocol is not None and not _TOKEN.fullmatch(subprotocol):
        return Refused(HTTPStatus.BAD_GATEWAY, f"not a subprotocol: {subprotocol!r}")
    return Accepted(subprotocol)


def reply(outcome: Outcome, connection_id: str, occasion: Occasion) -> str | None:
    """Give the text that a client gets for its message, or None for no reply."""
    if isinstance(outcome, Returned) and _status(outcome.payload) is not None:
        return _body(outcome.payload)
    return notice("Internal server error", connection_id, occasion)


def failure(outcome: Outcome) -> str | None:
    """Say what went wrong with an invocation, or None."""
    match outcome:
        case Returned():
            return None if _status(outcome.payload) is not None else f"answered {outcome.payload!r}"
        case _:
            return cause(outcome)


def notice(message: str, connection_id: str, occasion: Occasion) -> str:
    """Write one of API Gateway's own messages to a client."""
    return json.dumps(
        {"message": message, "connectionId": connection_id, "requestId": occasion.request_id}
    )


def select_route(body: str, routes: Collection[str]) -> str | None:
    """Select the route of a message by `$request.body.action`, of the keys of message routes.

    None when there is none for it.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    action = message.get("action") if isinstance(message, dict) else None
    if isinstance(action, str) and action in routes:
        return action
    return "$default" if "$default" in routes else None


def cause(outcome: Failed | TimedOut) -> str:
    """Say why there is no answer."""
    if isinstance(outcome, TimedOut):
        return f"timed out after {outcome.seconds:g} s"
    return outcome.cause


def _status(answer: object) -> int | None:
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, str) and len(status) == 3 and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool):
        return None
    return status if HTTPStatus.OK <= status < 600 else None


def _body(answer: dict[str, Any]) -> str | None:
    body = answer.get("body")
    # JSON can carry half a surrogate pair, which is no text that a client could be sent.
    return body.encode(errors="replace").decode() if isinstance(body, str) and body else None


def _header(answer: dict[str, Any], wanted: str) -> str | None:
    values = [value for name, value in _headers(answer) if name.lower() == wanted]
    return values[0] if values else None


def _headers(answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("headers", "multiValueHeaders"):
        headers = answer.get(field)
        for name, value in headers.items() if isinstance(headers, dict) else ():
            for each in _each(value):
                yield name, str(each)


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else [value]
