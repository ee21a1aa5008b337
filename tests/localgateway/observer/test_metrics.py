"""Metrics of log lines, by minute."""

import json
from typing import Any

import pytest

from localgateway.observer.metrics import LINES_SIZE, MINUTES, SERIES, Metrics

MINUTE = 60.0


def line(dimensions: list[list[Any]], **fields: Any) -> bytes:
    """Return a line in the embedded metric format; fields in capitals are metrics."""
    metrics = [{"Name": name, "Unit": "Count"} for name in fields if name[0].isupper()]
    directive = {"Namespace": "N", "Dimensions": dimensions, "Metrics": metrics}
    return json.dumps({**fields, "_aws": {"CloudWatchMetrics": [directive]}}).encode()


def test_values_of_a_minute_are_summed() -> None:
    metrics = Metrics()
    for value in (1, 5, 3):
        metrics.add(line([["stage"]], Opened=value, stage="dev"), 10 * MINUTE)
    metrics.add(line([["stage"]], Opened=[2, 4], stage="dev"), 12 * MINUTE)

    [series] = metrics.shown(12 * MINUTE)

    assert (series["name"], series["unit"]) == ("Opened", "Count")
    assert series["dimensions"] == {"stage": "dev"}
    assert series["minutes"] == [None] * 12 + [[3, 9.0, 1.0, 5.0], None, [2, 6.0, 2.0, 4.0]]


def test_each_set_of_dimensions_is_a_series() -> None:
    metrics = Metrics()
    metrics.add(line([["stage"], ["stage", "cause"]], Closed=1, stage="dev", cause="idle"), 0.0)

    assert [series["dimensions"] for series in metrics.shown(0.0)] == [
        {"stage": "dev"},
        {"stage": "dev", "cause": "idle"},
    ]


def test_old_minutes_go() -> None:
    metrics = Metrics()
    metrics.add(line([[]], Opened=1), 0.0)

    assert len(metrics.shown((MINUTES - 1) * MINUTE)) == 1
    assert metrics.shown(MINUTES * MINUTE) == []


def test_the_number_of_series_is_bounded() -> None:
    metrics = Metrics()
    for number in range(SERIES + 50):
        metrics.add(line([["client"]], Opened=1, client=str(number)), 0.0)

    assert len(metrics.shown(0.0)) == SERIES


def test_the_memory_of_lines_that_nobody_looks_at_is_bounded() -> None:
    """The oldest ones go, by their number and by their length."""
    metrics = Metrics()
    for number in range(12):
        long = line([["n"]], Opened=1, n=str(number), text="x" * (LINES_SIZE // 10))
        metrics.add(long, 0.0)

    assert [each["dimensions"]["n"] for each in metrics.shown(0.0)] == [
        str(number) for number in range(3, 12)
    ]
    metrics.add(line([["n"]], Opened=1, n="later"), 0.0)
    assert len(metrics.shown(0.0)) == 10


def test_what_a_series_is_called_is_bounded() -> None:
    """A unit that is no text is none, and the values that are no numbers are left out."""
    metrics = Metrics()
    directive = {"Dimensions": [["d" * 5000]], "Metrics": [{"Name": "O" * 5000, "Unit": []}]}
    fields = {"O" * 5000: [float("nan"), 7], "d" * 5000: "v" * 5000}
    metrics.add(json.dumps({**fields, "_aws": {"CloudWatchMetrics": [directive]}}).encode(), 0.0)

    [series] = metrics.shown(0.0)

    assert (series["name"], series["unit"]) == ("O" * 1024, "None")
    assert series["dimensions"] == {"d" * 1024: "v" * 1024}
    assert series["minutes"][-1] == [1, 7.0, 7.0, 7.0]


@pytest.mark.parametrize(
    "broken",
    [
        b'not JSON "_aws"',
        b'{"_aws": 1}',
        b'{"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "Missing"}]}]}}',
        b'{"_aws": {"CloudWatchMetrics": [{"Dimensions": [["no"]], "Metrics": []}]}}',
        b'{"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": []}]}]}}',
        line([["stage"]], Opened=1, stage={"a": 1}),
        line([[5]], Opened=1),
        line([[]], Opened=[float("nan"), float("inf"), -float("inf"), 10**400, 1e200]),
        line([[]], Opened="text"),
        line([[]], Opened=True),
    ],
)
def test_a_broken_line_is_left_out(broken: bytes) -> None:
    metrics = Metrics()

    metrics.add(broken, 0.0)

    assert metrics.shown(0.0) == []
