"""A million connections over a day with an outage at noon, and what breaks in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.cost.model import RUN_S, SWEEP_MINUTES
from bench.scale.day import Day
from bench.scale.limits import UNLIMITED, Limit, Limits
from bench.scale.load import DAY_S, Load
from bench.scale.sweeping import LATE_S

CLIENTS = 1_000_000
OUTAGE = (12 * 3600.0, 600.0)
EVERY_S = DAY_S / 20
# One while everybody comes back; the others are spread over the day.
DURING_RETURN_S = sum(OUTAGE) + 30
NOTIFICATIONS = (*(EVERY_S / 2 + EVERY_S * n for n in range(20)), DURING_RETURN_S)
DAY = Load(CLIENTS, notifications=NOTIFICATIONS, outage=OUTAGE)
QUIET = replace(DAY, outage=None)
# The same outage in a shorter time, to find one limit after the other.
SHORT = replace(
    DAY,
    outage=(3 * 3600.0, 600.0),
    notifications=(3600.0, 3 * 3600.0 + 630),
    seconds=6 * 3600,
)
# What one partition of DynamoDB serves cannot be raised.
FIXED = (Limit.KEY, Limit.STREAM)


@dataclass(frozen=True)
class Break:
    """A limit that was the first one to refuse anything, and the day in which it did.

    `needed` is the most that is asked of it where nothing else is in the way, `raised` what it is
    raised to for the next day; None if it cannot be.
    """

    limit: Limit
    at: float
    allowed: float
    needed: float
    raised: float | None
    day: Day


def needed(load: Load) -> dict[Limit, float]:
    """Return the most that a day asks of each limit if none is in the way."""
    free = Day(load, UNLIMITED).run()
    found = {limit: met.most for limit, met in free.pressure.items()}
    # A pass has to take half of the alarm's time, in runs that pause.
    found[Limit.SWEEP] = load.clients / (LATE_S / 2) * (60 * SWEEP_MINUTES / RUN_S)
    return found


def breaks(load: Load, limits: Limits, seed: int = 1) -> tuple[list[Break], Day]:
    """Raise the limit that breaks first, until none is left. Return the breaks and the last day."""
    most = needed(load)
    found: list[Break] = []
    while True:
        day = Day(load, limits, seed).run()
        met = {each.limit for each in found}
        left = {limit: at for limit, at in day.broken().items() if limit not in met}
        if not left:
            return found, day
        limit, at = next(iter(left.items()))
        raised = None if limit in FIXED else limits.raised(limit, most[limit])
        value = raised.of(limit) if raised else None
        found.append(Break(limit, at, limits.of(limit), most[limit], value, day))
        limits = raised or limits
