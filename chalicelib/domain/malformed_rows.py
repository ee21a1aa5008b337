"""Rows of the table that are not connections: when the sweep may remove them.

Another tool or an older version may have written them, with numbers as strings, in other units,
or not at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chalicelib.domain.rows import Item

DAY_MS = 24 * 3600 * 1000
# Until 5138, an epoch time below the first is in seconds, and one from the second on in
# microseconds or nanoseconds.
_SECONDS_END = 10**11
_MILLISECONDS_END = 10**14


def disposable(item: Item, now_ms: int) -> bool:
    """Return whether a malformed row has expired at `now_ms` (epoch ms)."""
    moment_ms = expiry_ms(item)
    return moment_ms is not None and moment_ms <= now_ms


def expiry_ms(item: Item) -> int | None:
    """Return when a malformed row expires, in epoch ms, or None if it does not say.

    That is at its `ttl` or a day after its `createdAt`, whichever comes first. Both may be numbers
    or strings, in seconds down to nanoseconds. No connection lasts a day, so the row of one whose
    `createdAt` is in the wrong unit outlives it.
    """
    ttl, created_at = _epoch_ms(item.get("ttl")), _epoch_ms(item.get("createdAt"))
    moments = [ttl, None if created_at is None else created_at + DAY_MS]
    return min((moment for moment in moments if moment is not None), default=None)


def _epoch_ms(value: Any) -> int | None:
    """Return a time as epoch ms. `value` is an attribute value in whatever type."""
    text = (value.get("N") or value.get("S")) if isinstance(value, dict) else None
    try:
        number = float(text)  # type: ignore[arg-type] # TypeError is the answer to None
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number) or number <= 0:
        return None
    while number >= _MILLISECONDS_END:
        number /= 1000
    return round(number * 1000 if number < _SECONDS_END else number)
