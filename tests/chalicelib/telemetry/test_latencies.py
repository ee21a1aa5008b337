import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.telemetry.latencies import Latencies

NEAR = 0.03  # half of the 5 % between two groups, and rounding


def counted(*seconds: float) -> Latencies:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    return latencies


def test_without_durations_there_is_no_percentile() -> None:
    assert counted().percentile(50) is None


@given(
    st.lists(st.floats(min_value=1e-4, max_value=100), min_size=1, max_size=200),
    st.sampled_from([0.1, 1, 50, 90, 99, 100]),
)
def test_a_percentile_is_that_of_the_sorted_durations(seconds: list[float], percent: float) -> None:
    exact = sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]

    assert counted(*seconds).percentile(percent) == pytest.approx(exact, rel=NEAR)


@pytest.mark.parametrize(("percent", "seconds"), [(50, 0.01), (99, 0.01), (100, 3.0)])
def test_one_slow_call_in_a_hundred_shows_at_the_hundredth_percentile_only(
    percent: float, seconds: float
) -> None:
    latencies = counted(*[0.01] * 99, 3.0)

    assert latencies.percentile(percent) == pytest.approx(seconds, rel=NEAR)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_a_duration_too_short_to_measure_counts_as_a_microsecond(seconds: float) -> None:
    assert counted(seconds).percentile(50) == pytest.approx(1e-6, rel=NEAR)


def test_memory_does_not_grow_with_the_number_of_durations() -> None:
    latencies = counted(*(1e-6 * 1.001**n for n in range(20_700)))  # 1 µs to 16 min

    assert latencies.percentile(100) == pytest.approx(970, rel=0.1)
    assert len(vars(latencies)["_groups"]) < 430
