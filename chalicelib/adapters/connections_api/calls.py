"""Requests to `@connections`, and the replies to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    OnReply = Callable[["Call", "Reply"], None]
    Retry = Callable[["Reply", int], float | None]


@dataclass(frozen=True)
class Call:
    """One request: GET looks at a connection, POST sends `body` to it, DELETE closes it."""

    method: Literal["GET", "POST", "DELETE"]
    connection_id: str
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """The result of one attempt of a call.

    `status` is None when no answer came; `error` then says why. For a status of 400 or more
    `error` is the body of the answer. `seconds` is the duration of the attempt, including
    connecting. `sent` is False when the API cannot have seen the request, because no connection
    could be opened.
    """

    status: int | None
    error: str
    seconds: float
    sent: bool = True
