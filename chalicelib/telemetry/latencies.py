"""Percentiles of durations, in memory that does not grow with their number."""

from __future__ import annotations

import math
from collections import Counter

# Neighbouring groups are 5 % apart, so a percentile is accurate to 2.5 %.
_GROWTH = math.log(1.05)
_SHORTEST = 1e-6  # s


class Latencies:
    """Durations in seconds, counted in groups of similar length."""

    def __init__(self) -> None:
        self._groups: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._groups[round(math.log(max(seconds, _SHORTEST)) / _GROWTH)] += 1

    def percentile(self, percent: float) -> float | None:
        """Return the given percentile in seconds, or None if nothing was counted."""
        wanted = math.ceil(self._groups.total() * percent / 100)
        seen = 0
        for group in sorted(self._groups):
            seen += self._groups[group]
            if seen >= wanted:
                return round(math.exp(group * _GROWTH), 6)
        return None
