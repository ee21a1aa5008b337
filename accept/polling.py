"""Waiting for what only a repeated look can show."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
FIRST_PAUSE_S = 0.25


def now_ms() -> int:
    """Return the time in epoch ms."""
    return time.time_ns() // 1_000_000


async def until(
    look: Callable[[], Awaitable[T]], right: Callable[[T], bool], seconds: float
) -> tuple[T, bool]:
    """Look until the result is right or the time is over; return the last result, and whether.

    The pauses double from `FIRST_PAUSE_S`, so that a long wait costs few calls.
    """
    ends, pause = time.monotonic() + seconds, FIRST_PAUSE_S
    while True:
        seen = await look()
        if right(seen) or time.monotonic() + pause > ends:
            return seen, right(seen)
        await asyncio.sleep(pause)
        pause *= 2
