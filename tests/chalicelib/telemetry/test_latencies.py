"""Percentiles, compared with those of all the values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.telemetry.latencies import Latencies

NEAR = 0.03  # half of the 5 % between two groups, and rounding


def counted(*seconds: float) -> Latencies:
    """Count these times."""
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    return latencies


def test_of_nothing_there_is_no_percentile() -> None:
    """No number would be true."""
    assert counted().percentile(50) is None


@given(
    st.lists(st.floats(min_value=1e-4, max_value=100), min_size=1, max_size=200),
    st.sampled_from([0.1, 1, 50, 90, 99, 100]),
)
def test_a_percentile_is_that_of_the_sorted_times(seconds: list[float], percent: float) -> None:
    """The smallest that so many of the times do not exceed."""
    exact = sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]

    assert counted(*seconds).percentile(percent) == pytest.approx(exact, rel=NEAR)


def test_one_slow_in_a_hundred_shows_at_the_hundredth_only() -> None:
    """The 99th percentile is not the slowest."""
    latencies = counted(*[0.01] * 99, 3.0)

    assert latencies.percentile(50) == pytest.approx(0.01, rel=NEAR)
    assert latencies.percentile(99) == pytest.approx(0.01, rel=NEAR)
    assert latencies.percentile(100) == pytest.approx(3.0, rel=NEAR)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_a_time_too_short_to_measure_counts_as_a_microsecond(seconds: float) -> None:
    """A clock may stand still."""
    assert counted(seconds).percentile(50) == pytest.approx(1e-6, rel=NEAR)


def test_the_memory_does_not_grow_with_the_number() -> None:
    """From a microsecond to 15 minutes there are few groups."""
    latencies = counted(*(1e-6 * 1.001**n for n in range(20_700)))

    assert latencies.percentile(100) == pytest.approx(970, rel=0.1)
    assert len(vars(latencies)["_groups"]) < 430
