"""How long to wait before the next attempt: exponential back-off with full jitter.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from random import Random

BASE_S = 0.5
CAP_S = 60.0
LONG_LIFE_S = 30.0
MOST_DOUBLINGS = 30  # the cap is reached long before; 2.0**1024 would overflow


class Backoff:
    """Counts failures in a row. Clients that lost a server together return spread out."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def failed(self, spread_s: float) -> float:
        """Count a failure and return the delay (s) before the next attempt."""
        cap = max(CAP_S, spread_s)
        delay = self._random.uniform(0, min(cap, BASE_S * 2.0**self._failures))
        self._failures = min(self._failures + 1, MOST_DOUBLINGS)
        return delay

    def ended(self, lived_s: float, spread_s: float) -> float:
        """Return the delay (s) after a connection that lived `lived_s`."""
        if lived_s < LONG_LIFE_S:
            return self.failed(spread_s)
        self._failures = 0
        return self._random.uniform(0, spread_s)
