"""Tokens: asked for before each attempt, and again before they expire."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .errors import TokenCancelledError

TOKEN_S = 10.0
EARLY_S = 60.0
EARLY_SHARE = 0.8  # of a life so short that `EARLY_S` would be most of it
SHORTEST_LIFE_S = 5.0

GetToken: TypeAlias = Callable[[], Awaitable[str]]


async def ask(get_token: GetToken) -> str:
    """Return a new token.

    Raise `TimeoutError`, `TokenCancelledError`, or what `get_token` raises.
    """
    async with asyncio.timeout(TOKEN_S):
        try:
            return await get_token()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # by `close`, or since the time is up
                raise
            raise TokenCancelledError("what `token` waits for was cancelled") from error


def expiry(token: str | None) -> float | None:
    """Return when a JSON Web Token expires (s since the epoch), None for any other token.

    The signature is the server's business.
    """
    try:
        payload = (token or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (LookupError, TypeError, ValueError):
        return None


def renewal_delay(life_s: float) -> float | None:
    """Return the seconds until a token should be renewed, None if it is too late for that."""
    if life_s < SHORTEST_LIFE_S:
        return None
    return max(life_s - EARLY_S, EARLY_SHARE * life_s)
