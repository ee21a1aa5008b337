"""Reads the bodies of HTTP requests, within a limit and a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_TIMEOUT = 10.0
# A body that is a little too large is read to its end, so that its sender sees the answer.
_DRAIN = 1024 * 1024


class TooLargeError(Exception):
    """A body is larger than it may be; `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"The body is over {self.limit} bytes"


class UnreadableError(Exception):
    """A body is not what it should be, or did not come in time."""


async def read(request: Request, limit: int) -> bytes:
    """Read a body of up to `limit` bytes; raises TooLargeError and UnreadableError."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for part in request.stream():
                body += part
                if len(body) > limit + _DRAIN:
                    raise TooLargeError(limit)
    except TimeoutError as error:
        raise UnreadableError(f"the body did not come within {BODY_TIMEOUT:g} s") from error
    except ClientDisconnect as error:
        raise UnreadableError("the body was cut short") from error
    if len(body) > limit:
        raise TooLargeError(limit)
    return bytes(body)
