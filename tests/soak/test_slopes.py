"""Slopes and their confidence."""

from random import Random

import pytest

from tests.soak.slopes import BLOCKS, FEWEST, WARM_UP, slope_of

SAMPLES = 1000
TIMES = [float(number) for number in range(SAMPLES)]


def test_a_line_has_its_own_slope_with_certainty() -> None:
    slope = slope_of(TIMES, [7 + 2 * time for time in TIMES])

    assert slope is not None
    seconds = SAMPLES - 1 - round(SAMPLES * WARM_UP)
    assert slope.rise == pytest.approx(2 * seconds)
    assert slope.low == pytest.approx(slope.high)


def test_what_rises_in_the_warm_up_only_is_flat() -> None:
    slope = slope_of(TIMES, [min(time, SAMPLES * WARM_UP) for time in TIMES])

    assert slope is not None
    assert slope.rise == pytest.approx(0)


def test_noise_alone_is_rarely_taken_for_a_slope() -> None:
    """The bounds of 99 % contain 0 in about 99 of 100 series, also if neighbours are alike."""
    contained = 0
    for seed in range(200):
        random = Random(seed)
        values, value = [], 0.0
        for _ in TIMES:
            value = 0.8 * value + random.gauss(0, 1)
            values.append(value)
        slope = slope_of(TIMES, values)
        assert slope is not None
        contained += slope.low <= 0 <= slope.high

    assert contained >= 190


def test_a_slope_under_noise_is_found() -> None:
    random = Random(1)
    slope = slope_of(TIMES, [0.05 * time + random.gauss(0, 3) for time in TIMES])

    assert slope is not None
    assert slope.low > 0


def test_few_samples_have_no_slope() -> None:
    number = round(FEWEST / (1 - WARM_UP)) - BLOCKS

    assert slope_of(TIMES[:number], TIMES[:number]) is None
