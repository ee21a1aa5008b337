import json

import pytest

from chalicelib.domain.admission import REASONS
from chalicelib.domain.close_causes import Cause
from chalicelib.telemetry import metrics
from chalicelib.telemetry.metrics import Metric
from tests.support.embedded_metrics import assert_counts

SECONDS = {"Duration", "SweepLag", "DeliveryTime", "PostP50", "PostP99"}


def test_metrics_count_by_service_and_stage() -> None:
    fields = metrics.fields("dev", {Metric.OPENED: 1, Metric.VERIFICATION_FAILURES: 2})

    assert assert_counts(fields) == {"Opened": (1, "Count"), "VerificationFailures": (2, "Count")}
    [directive] = fields["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "IncidentWebSocket"
    assert directive["Dimensions"] == [["service", "stage"]]
    assert (fields["service"], fields["stage"]) == ("incident-websocket", "dev")
    assert "cause" not in fields


def test_metrics_with_a_cause_count_with_and_without_it() -> None:
    """So an alarm on the sum needs no search expression. A time is not counted by cause."""
    fields = metrics.fields("prod", {Metric.CLOSED: 1, Metric.DURATION: 2.5}, "going_away")

    assert assert_counts(fields) == {"Closed": (1, "Count"), "Duration": (2.5, "Seconds")}
    closed, duration = fields["_aws"]["CloudWatchMetrics"]
    assert closed["Dimensions"] == [["service", "stage"], ["service", "stage", "cause"]]
    assert [metric["Name"] for metric in closed["Metrics"]] == ["Closed"]
    assert duration["Dimensions"] == [["service", "stage"]]
    assert fields["cause"] == "going_away"


@pytest.mark.parametrize("metric", Metric)
def test_times_are_in_seconds_shares_in_percent_and_the_rest_are_counts(metric: Metric) -> None:
    fields = metrics.fields("dev", {metric: 0.5}, "x")

    unit = "Seconds" if metric.value in SECONDS else "Count"
    unit = "Percent" if metric is Metric.MISSED_DISCONNECT_SHARE else unit
    assert assert_counts(fields) == {metric.value: (0.5, unit)}
    assert json.loads(json.dumps(fields)) == fields


def test_no_metric_has_the_name_of_a_dimension() -> None:
    """They are members of the same object."""
    assert not {metric.value for metric in Metric} & {"service", "stage", "cause", "_aws"}


def test_there_are_few_causes() -> None:
    """Each combination of dimension values is charged as a metric of its own."""
    assert len(Cause) + len(REASONS) < 30
