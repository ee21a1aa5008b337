"""Whether a series stays flat: the slope of its block means, with its confidence."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

BLOCKS = 10
# Student's t for 99 %, two-sided, with BLOCKS - 2 degrees of freedom.
T = 3.355
WARM_UP = 0.4  # of a process's life
FEWEST = 12 * BLOCKS  # samples


@dataclass(frozen=True)
class Slope:
    """By how much a series rose over its time: the estimate, and the bounds of 99 %."""

    rise: float
    low: float
    high: float
    mean: float


def slope_of(times: Sequence[float], values: Sequence[float]) -> Slope | None:
    """Return the slope after the warm-up, or None if there are too few samples.

    Neighbouring samples are alike, so that a line through all of them would look too certain: it
    is drawn through the means of blocks.
    """
    skipped = round(len(times) * WARM_UP)
    times, values = times[skipped:], values[skipped:]
    if len(times) < FEWEST:
        return None
    size = len(times) / BLOCKS
    bounds = [round(number * size) for number in range(BLOCKS + 1)]
    blocks = list(itertools.pairwise(bounds))
    x = [fmean(times[start:end]) for start, end in blocks]
    y = [fmean(values[start:end]) for start, end in blocks]
    middle, level = fmean(x), fmean(y)
    spread = sum((each - middle) ** 2 for each in x)
    slope = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    rest = sum((b - level - slope * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    error = math.sqrt(rest / (BLOCKS - 2) / spread)
    seconds = times[-1] - times[0]
    low, high = ((slope + sign * T * error) * seconds for sign in (-1, 1))
    return Slope(slope * seconds, low, high, level)
