"""Seeded numbers for a simulation that counts connections and does not follow each of them."""

from __future__ import annotations

import math
import random

# Above this mean the normal distribution is as good as the exact one.
EXACT_BELOW = 50.0


class Draws:
    """Draws that a seed repeats."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeated by its seed

    def poisson(self, mean: float) -> float:
        """Return how many of very many rare events happen."""
        if mean >= EXACT_BELOW:
            return max(0.0, round(self._chance.gauss(mean, math.sqrt(mean))))
        left, count = math.exp(-mean), 0
        product = self._chance.random()
        while product > left:
            product *= self._chance.random()
            count += 1
        return float(count)

    def binomial(self, among: float, share: float) -> float:
        """Return how many of `among` are hit, each with the same chance."""
        mean = among * share
        if mean < EXACT_BELOW or mean > among - EXACT_BELOW:
            return min(among, self.poisson(mean)) if share < 1 else among
        drawn = round(self._chance.gauss(mean, math.sqrt(mean * (1 - share))))
        return float(min(among, max(0, drawn)))
