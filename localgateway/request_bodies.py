"""Reads the bodies of HTTP requests, within a size limit and a time limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request

# In seconds.
BODY_TIMEOUT = 10.0
# In bytes; a body that is slightly too large is read to its end so that the sender gets the 413.
_DRAIN = 1024 * 1024


class TooLargeError(Exception):
    """A body exceeds `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the body exceeds {self.limit} bytes"


class UnreadableError(Exception):
    """A body is incomplete, late or has the wrong format."""


async def read(request: Request, limit: int) -> bytes:
    """Return a body of at most `limit` bytes; raise `TooLargeError` or `UnreadableError`."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for part in request.stream():
                body += part
                if len(body) > limit + _DRAIN:
                    raise TooLargeError(limit)
    except TimeoutError as error:
        raise UnreadableError(f"the body was not complete after {BODY_TIMEOUT:g} s") from error
    except ClientDisconnect as error:
        raise UnreadableError("the client disconnected before the end of the body") from error
    if len(body) > limit:
        raise TooLargeError(limit)
    return bytes(body)
