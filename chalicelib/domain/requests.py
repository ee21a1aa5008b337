"""What clients ask for in messages, and the position from which they want to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.errors import RequestError
from chalicelib.domain.history import MAX_NUMBER

MOST_LAST = 50
_POSITION = 'null or a position such as {"all": 0, "own": {"seq": 0, "of": "ada"}}'


@dataclass(frozen=True)
class Position:
    """How far a client has come: the numbers of the last notifications that it has seen.

    `own` is in the stream of the client `own_of`. None means that the client has no number.
    """

    all: int | None = None
    own: int | None = None
    own_of: str | None = None

    def own_number(self, client_id: str) -> int | None:
        """Return the number in the stream of this client; another client's means nothing."""
        return self.own if self.own_of == client_id else None

    def to_json(self) -> dict[str, Any]:
        """Return the position as clients receive it and send it back."""
        fields: dict[str, Any] = {}
        if self.all is not None:
            fields["all"] = self.all
        if self.own is not None:
            fields["own"] = {"seq": self.own, "of": self.own_of}
        return fields


@dataclass(frozen=True)
class Ping:
    """A ping, which keeps the connection open. Nothing is read for the answer."""


@dataclass(frozen=True)
class Heads:
    """A ping that asks for the newest numbers. `n` is the client's number of the request."""

    n: int | None


@dataclass(frozen=True)
class Recover:
    """A request for what was missed since `after`, or for the `last` ones of each stream.

    `n` is the client's number of the request.
    """

    n: int | None
    after: Position | None
    last: int


@dataclass(frozen=True)
class Received:
    """The acknowledgement of the entry `seq` of the client's own stream.

    `n` is the client's number of the request.
    """

    n: int | None
    seq: int


@dataclass(frozen=True)
class Authenticate:
    """A request to go on with a new token. `n` is the client's number of the request."""

    n: int | None
    token: str = field(repr=False)


@dataclass(frozen=True)
class Message:
    """A client's message. `fields` of None means that it is not a JSON object."""

    text: str
    fields: Mapping[str, Any] | None

    @property
    def action(self) -> object:
        """Return the action, or None."""
        return self.fields.get("action") if self.fields else None

    @property
    def reads_history(self) -> bool:
        """Return whether the answer needs the history, if there is one."""
        if self.fields is None:
            return False
        return self.action in ("recover", "received") or (
            self.action == "ping" and self.fields.get("heads") is True
        )

    def request(self) -> Heads | Recover | Received:
        """Return what the client wants of the history. Raises `RequestError`."""
        fields = self.fields or {}
        n = _request_number(fields)
        if self.action == "received":
            return Received(n, _entry_number(fields.get("seq"), n))
        return Heads(n) if self.action == "ping" else _recover(fields, n)

    def authenticate(self) -> Authenticate:
        """Return the request to go on with a new token. Raises `RequestError`."""
        fields = self.fields or {}
        n, token = _request_number(fields), fields.get("token")
        if not isinstance(token, str) or not token:
            raise RequestError("token", token, "a JSON Web Token", n)
        return Authenticate(n, token)

    def request_number(self) -> int | None:
        """Return the client's number of the request, or None if it has no valid one."""
        n = (self.fields or {}).get("n")
        return n if _is_number(n) else None


def parse(text: str) -> Message:
    """Parse a client's message, which can be anything."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    return Message(text, fields if isinstance(fields, dict) else None)


def _recover(message: Mapping[str, Any], n: int | None) -> Recover:
    after, last = message.get("after"), message.get("last", 0)
    if not (_is_number(last) and last <= MOST_LAST):
        raise RequestError("last", last, f"an integer from 0 to {MOST_LAST}", n)
    if after is None:
        return Recover(n, None, last)
    if not isinstance(after, Mapping):
        raise RequestError("after", after, _POSITION, n)
    if last:
        raise RequestError("last", last, "0 with a position", n)
    return Recover(n, _position(after, n), 0)


def _position(after: Mapping[str, Any], n: int | None) -> Position:
    everybody, own = after.get("all"), after.get("own")
    if everybody is not None:
        _check_number("after.all", everybody, n)
    if own is None:
        return Position(everybody)
    if not isinstance(own, Mapping):
        raise RequestError("after.own", own, '{"seq": 0, "of": "ada"}', n)
    _check_number("after.own.seq", own.get("seq"), n)
    if not isinstance(own.get("of"), str):
        raise RequestError("after.own.of", own.get("of"), "a clientId", n)
    return Position(everybody, own["seq"], own["of"])


def _request_number(message: Mapping[str, Any]) -> int | None:
    n = message.get("n")
    if n is not None:
        _check_number("n", n, None)
    return n


def _entry_number(value: object, n: int | None) -> int:
    if not (type(value) is int and 0 < value <= MAX_NUMBER):
        raise RequestError("seq", value, f"an integer from 1 to {MAX_NUMBER}", n)
    return value


def _check_number(field: str, value: object, n: int | None) -> None:
    if not _is_number(value):
        raise RequestError(field, value, f"an integer from 0 to {MAX_NUMBER}", n)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER
