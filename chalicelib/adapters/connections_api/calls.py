"""Requests to `@connections`, and the replies to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chalicelib.clock import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    OnReply = Callable[["Call", "Reply"], None]
    Retry = Callable[["Reply", int], float | None]


@dataclass(frozen=True)
class Call:
    """One request: GET looks at a connection, POST sends `body` to it, DELETE closes it.

    No retry starts from `until` (epoch s) on, if given.
    """

    method: Literal["GET", "POST", "DELETE"]
    connection_id: str
    body: bytes = b""
    until: int | None = None

    @property
    def has_lapsed(self) -> bool:
        """Whether it is too late to start this call."""
        return self.until is not None and now_ms() // 1000 >= self.until


@dataclass(frozen=True)
class Reply:
    """The result of one attempt of a call.

    `status` is None when no answer came; `error` then says why. For a status of 400 or more
    `error` is the body of the answer. `body` is that of a 200 to GET, otherwise empty. `seconds` is
    the duration of the attempt, including connecting. `sent` is False when the API cannot have seen
    the request, because no connection could be opened.
    """

    status: int | None
    error: str
    seconds: float
    sent: bool = True
    body: str = ""
