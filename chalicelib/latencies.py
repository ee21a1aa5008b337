"""Percentiles of times, in a memory that does not grow with their number."""

from __future__ import annotations

import math
from collections import Counter

# Two neighbouring groups are 5 % apart, so a percentile is right within 2.5 %.
_GROWTH = math.log(1.05)
_SHORTEST = 1e-6  # s


class Latencies:
    """Times in seconds, counted in groups of about the same length."""

    def __init__(self) -> None:
        self._groups: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one more."""
        self._groups[round(math.log(max(seconds, _SHORTEST)) / _GROWTH)] += 1

    def percentile(self, percent: float) -> float | None:
        """Give the time in s that `percent` of all do not exceed, or None when there are none."""
        wanted = math.ceil(self._groups.total() * percent / 100)
        seen = 0
        for group in sorted(self._groups):
            seen += self._groups[group]
            if seen >= wanted:
                return round(math.exp(group * _GROWTH), 6)
        return None
