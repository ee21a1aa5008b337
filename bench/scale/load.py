"""What happens in a simulated day, and what is noted of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.scale.recovery import LONGEST_S

DAY_S = 86_400


class Total(StrEnum):
    """What a day adds up."""

    HANDSHAKES = "handshakes"
    REFUSED = "refused handshakes"
    ENDS = "ends that $disconnect told"
    ORPHANED = "ends that it did not tell"
    PINGS = "pings"
    THROTTLED = "throttled pings"
    GIVEN_UP = "connections that clients gave up"
    RECOVERIES = "recoveries"
    CONNECTION_S = "seconds of connections"


@dataclass(frozen=True)
class Load:
    """What clients do, and what happens to them; times are in s from midnight.

    Each hour `drops` of the connections break, and of all ends `lost` are not told by a
    `$disconnect`. `busiest` is the share of connections that have the same client id.
    `notifications` are published then. In the `outage` (start and duration) every connection ends
    and nothing is told; afterwards clients come back within `return_s`.
    """

    clients: int = 1_000_000
    drops: float = 0.02
    lost: float = 0.01
    busiest: float = 0.02
    notifications: tuple[float, ...] = ()
    envelope_bytes: int = 1024
    outage: tuple[float, float] | None = None
    return_s: float = 60
    seconds: int = DAY_S

    def missed(self, now: float) -> float:
        """Return the bytes that a client that recovers at `now` has missed: since the outage began.

        Who was away for seconds has usually missed nothing.
        """
        if self.outage is None or not self.back_from <= now < self.back_from + LONGEST_S / 2:
            return 0.0
        since = [at for at in self.notifications if self.outage[0] <= at <= now]
        return len(since) * self.envelope_bytes

    @property
    def back_from(self) -> float:
        """When the first client comes back after the outage."""
        return sum(self.outage) if self.outage else float("inf")


@dataclass
class Pressure:
    """How a limit was met: when it `first` refused anything, and the `most` asked of it."""

    first: float | None = None
    most: float = 0.0
    refused: float = 0.0


@dataclass(frozen=True)
class Sample:
    """The state at one second."""

    at: int
    open: float
    away: float
    orphans: float
    requests: float
    posts: float
    environments: float
    lag_s: float
