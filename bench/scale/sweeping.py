"""The sweep in the simulated day: what it looks at, what it removes and how far it is behind."""

from __future__ import annotations

import heapq

from bench.cost.model import RUN_S, SWEEP_MINUTES
from bench.scale.model import PAGE_S, READ_CPU_S, REMOVAL_S
from bench.scale.recovery import LONGEST_S
from chalicelib.services.endings import REMOVALS_AT_ONCE

# The alarm `sweep-lagging`, docs/metrics.md.
LATE_S = 30 * 60
TOO_OLD_S = LONGEST_S + 300
PAGE_ROWS = 500
ROWS_A_SECOND = PAGE_ROWS / (PAGE_S + PAGE_ROWS * READ_CPU_S)
REMOVALS_A_SECOND = REMOVALS_AT_ONCE / REMOVAL_S


class Sweeping:
    """Orphans, and a pass over the table that takes as many runs as it needs.

    Orphans are spread evenly over the table. Those whose row is too old need no probe, and those
    that come up during a pass are left to the next one.
    """

    def __init__(self, probes: float) -> None:
        self._most_probes = probes
        self.orphans = 0.0  # rows whose connection has ended and that nothing has removed
        self._old = 0.0  # of them, those that are removed without a probe
        self._aging: list[tuple[float, float]] = []  # when orphans become too old: a heap
        self._new: list[tuple[float, float]] = []
        self._rows_left: float | None = None  # of the pass; None: none has begun
        self._ahead = 0.0  # orphans in the rows that the pass has not reached
        self._began = 0.0
        self._complete = 0.0  # when the last complete pass began
        self.passes = 0
        self.probed = self.removed = self.runs = self.scanned = self.busy_s = 0.0
        self.first_late: float | None = None
        self.most_lag_s = 0.0

    def orphan(self, count: float, age_s: float) -> None:
        """Add rows whose connection has ended at the age of `age_s`."""
        if count > 0:
            self.orphans += count
            self._new.append((TOO_OLD_S - age_s, count))

    def remove(self, count: float) -> None:
        """Remove orphans that something else has found."""
        self._take(min(count, self.orphans))

    def lag(self, now: float) -> float:
        """Return the age in s of the last complete pass."""
        return now - self._complete

    def wanted(self, now: int) -> float:
        """Return the probes of this second."""
        self._age(now)
        in_run = now % (60 * SWEEP_MINUTES)
        if in_run == 0:
            self.runs += 1
        if in_run >= RUN_S or (self._rows_left == 0 and in_run):
            return 0.0
        return self._most_probes

    def step(self, now: int, probes: float, living: float) -> None:
        """Look at as many rows as these probes allow."""
        if probes <= 0:
            return
        rows = living + self.orphans
        if not self._rows_left:
            self._rows_left, self._ahead, self._began = rows, self.orphans, now
        if not self._rows_left:
            return
        self.busy_s += 1
        self._ahead = min(self._ahead, self.orphans)
        dead_share = self._ahead / self._rows_left
        old_share = dead_share * (self._old / self.orphans if self.orphans else 0.0)
        looked = min(probes / max(1e-9, 1 - old_share), ROWS_A_SECOND, self._rows_left)
        if dead_share:
            looked = min(looked, REMOVALS_A_SECOND / dead_share)
        self.scanned += looked
        self.probed += looked * (1 - old_share)
        removed = self._take(looked * dead_share)
        self._ahead -= removed
        self.removed += removed
        self._rows_left = max(0.0, self._rows_left - looked)
        if self._rows_left < 1:
            self._rows_left, self._complete = 0.0, self._began
            self.passes += 1
        lag = self.lag(now)
        self.most_lag_s = max(self.most_lag_s, lag)
        if lag > LATE_S and self.first_late is None:
            self.first_late = now

    def _age(self, now: int) -> None:
        for due, count in self._new:
            heapq.heappush(self._aging, (now + due, count))
        self._new.clear()
        while self._aging and self._aging[0][0] <= now:
            self._old = min(self.orphans, self._old + heapq.heappop(self._aging)[1])

    def _take(self, count: float) -> float:
        count = min(count, self.orphans)
        if self.orphans:
            self._old -= self._old * count / self.orphans
        self.orphans -= count
        return count
