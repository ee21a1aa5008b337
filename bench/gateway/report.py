"""Figures and targets, from batches to the lines that are printed."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from bench.gateway.load import Batch

MEGABYTE = 1_000_000  # bytes
RATE_RATIOS = {1: 1.0, 16: 1.5}  # by clients at once, warm
MEMORY_RATIO = 1 / 3
IDLE_MEMORY = 400.0  # MB
TOGETHER = 16  # clients at once


@dataclass(frozen=True)
class Measured:
    """One subject at one concurrency."""

    subject: str
    concurrency: int
    first: Batch  # right after the start, while execution environments still start
    rounds: tuple[Batch, ...]
    memory: float  # MB, the most after any of these batches
    cpu: Mapping[str, float]  # ms a warm cycle, by what the processes do, the engine included

    @property
    def rate(self) -> float:
        """Return the cycles per second of the median round."""
        return statistics.median(batch.rate for batch in self.rounds)

    def handshake(self, percentile: int) -> float:
        """Return that percentile of the warm handshakes in ms, or NaN when too few opened."""
        times = [time for batch in self.rounds for time in batch.handshakes]
        if len(times) < 2:
            return math.nan
        return 1000 * statistics.quantiles(times, n=100, method="inclusive")[percentile - 1]


@dataclass(frozen=True)
class Target:
    """A figure and the value that it must reach, or stay under."""

    name: str
    value: float
    limit: float | None  # None: for information only
    at_least: bool = True  # else at most

    @property
    def met(self) -> bool:
        """Return whether the figure meets its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        if self.limit is None:
            return f"{self.name:<42}{self.value:>9.2f}"
        sign, verdict = (">=" if self.at_least else "<="), ("met" if self.met else "MISSED")
        return f"{self.name:<42}{self.value:>9.2f}   target {sign} {self.limit:<6.4g} {verdict}"


def table(measured: list[Measured]) -> str:
    """Return one line for each subject and concurrency under a head."""
    head = f"{'subject':<10}{'at once':>8}{'first/s':>9}{'cycles/s':>10}{'p50 ms':>9}{'p99 ms':>9}"
    return "\n".join([f"{head}{'refused':>9}{'left':>6}{'MB':>7}", *map(_line, measured)])


def processors(measured: list[Measured]) -> str:
    """Return one line of CPU ms a warm cycle for each subject and concurrency."""
    return "\n".join(
        f"{each.subject}, {each.concurrency} at once: {sum(each.cpu.values()):.2f} CPU ms/cycle = "
        + " + ".join(f"{name} {ms:.2f}" for name, ms in sorted(each.cpu.items()) if ms >= 0.01)
        for each in measured
    )


def _line(measured: Measured) -> str:
    batches = (measured.first, *measured.rounds)
    refused, left = (sum(getattr(batch, name) for batch in batches) for name in ("refused", "left"))
    return (
        f"{measured.subject:<10}{measured.concurrency:>8}{measured.first.rate:>9.1f}"
        f"{measured.rate:>10.1f}{measured.handshake(50):>9.1f}{measured.handshake(99):>9.1f}"
        f"{refused:>9}{left:>6}{measured.memory:>7.0f}"
    )


def targets(baseline: list[Measured], gateway: list[Measured], idle: float) -> list[Target]:
    """Return the targets: rates and memory at each concurrency, and idle connections in MB."""
    compared = [
        target
        for theirs, ours in zip(baseline, gateway, strict=True)
        for target in _compare(theirs, ours)
    ]
    return [*compared, Target("MB of the tree, idle connections held", idle, IDLE_MEMORY, False)]


def _compare(theirs: Measured, ours: Measured) -> list[Target]:
    """Compare at one concurrency.

    The first cycles are printed for information: the baseline starts a process for each event.
    """
    at_once = f"{ours.concurrency} at once"
    first = ours.first.rate / theirs.first.rate
    memory = ours.memory / theirs.memory
    together = ours.concurrency >= TOGETHER
    return [
        Target(f"cycles/s ratio, {at_once}, from the start", first, None),
        Target(
            f"cycles/s ratio, {at_once}, warm",
            ours.rate / theirs.rate,
            RATE_RATIOS.get(ours.concurrency),
        ),
        Target(
            f"CPU ratio, {at_once}, warm",
            sum(ours.cpu.values()) / sum(theirs.cpu.values()),
            None,
        ),
        Target(f"memory ratio, {at_once}", memory, MEMORY_RATIO if together else None, False),
    ]
