"""Metrics as CloudWatch takes them from a log line.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import re
import time
from typing import Any

import pytest

from chalicelib.domain.admission import REASONS
from chalicelib.domain.close_causes import Cause
from chalicelib.telemetry import metrics
from chalicelib.telemetry.metrics import Metric

# Of the specification's list, those that are used here.
UNITS = {"Seconds", "Count", "Percent", "Milliseconds", "None"}


def assert_counts(line: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Check a log line against the specification, and give its metrics with their units."""
    metadata = line["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    assert abs(metadata["Timestamp"] - time.time() * 1000) < 14 * 24 * 3600 * 1000
    assert isinstance(metadata["Timestamp"], int)
    found: dict[str, tuple[float, str]] = {}
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 1 <= len(directive["Namespace"]) <= 256
        assert re.fullmatch(r"[\w.#:/-]+", directive["Namespace"])
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(line[name], str)
                assert 1 <= len(line[name]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100
        for definition in directive["Metrics"]:
            value = line[definition["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert definition["Unit"] in UNITS
            found[definition["Name"]] = (value, definition["Unit"])
    return found


def test_a_line_counts_by_service_and_stage() -> None:
    """The values are members of the line, named by the metadata."""
    fields = metrics.fields("dev", {Metric.OPENED: 1, Metric.VERIFICATION_FAILURES: 2})

    assert assert_counts(fields) == {
        "Opened": (1, "Count"),
        "VerificationFailures": (2, "Count"),
    }
    assert fields["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "IncidentWebSocket"
    assert fields["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "stage"]]
    assert (fields["service"], fields["stage"]) == ("incident-websocket", "dev")
    assert "cause" not in fields


def test_a_line_with_a_cause_counts_with_and_without_it() -> None:
    """So an alarm on the sum needs no search expression."""
    fields = metrics.fields("prod", {Metric.CLOSED: 1, Metric.DURATION: 2.5}, "going_away")

    assert assert_counts(fields) == {"Closed": (1, "Count"), "Duration": (2.5, "Seconds")}
    assert fields["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["service", "stage"],
        ["service", "stage", "cause"],
    ]
    assert fields["cause"] == "going_away"


@pytest.mark.parametrize("metric", Metric)
def test_every_metric_can_be_emitted(metric: Metric) -> None:
    """Under its own name, with a unit that CloudWatch knows."""
    fields = metrics.fields("dev", {metric: 0.5}, "x")

    assert set(assert_counts(fields)) == {metric.value}
    assert json.loads(json.dumps(fields)) == fields


def test_units_are_those_of_the_values() -> None:
    """Times are in seconds, shares in percent, the rest is counted."""
    units = {
        metric.value: assert_counts(metrics.fields("dev", {metric: 1}))[metric.value][1]
        for metric in Metric
    }

    assert {name for name, unit in units.items() if unit != "Count"} == {
        *(times := ("Duration", "SweepLag", "DeliveryTime", "PostP50", "PostP99")),
        "MissedDisconnectShare",
    }
    assert {units[name] for name in times} == {"Seconds"}
    assert units["MissedDisconnectShare"] == "Percent"


def test_names_of_dimensions_and_metrics_do_not_meet() -> None:
    """They are members of the same object."""
    assert not {metric.value for metric in Metric} & {"service", "stage", "cause", "_aws"}


def test_causes_are_few() -> None:
    """Each combination of dimension values is paid for as a metric of its own."""
    assert len(Cause) + len(REASONS) < 30
