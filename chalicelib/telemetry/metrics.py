"""Metrics in CloudWatch's embedded metric format: fields of a log line, without any call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

NAMESPACE = "IncidentWebSocket"
SERVICE = "incident-websocket"
# The field of a log line that tells CloudWatch which other fields are metrics.
DIRECTIVE = "_aws"


class Metric(StrEnum):
    """Every metric that the functions emit."""

    OPENED = "Opened"
    REFUSED = "Refused"
    CLOSED = "Closed"
    DURATION = "Duration"
    VERIFICATION_FAILURES = "VerificationFailures"
    FAILURES = "Failures"
    LIVE_CONNECTIONS = "LiveConnections"
    ORPHANS_REMOVED = "OrphansRemoved"
    MISSED_DISCONNECT_SHARE = "MissedDisconnectShare"
    SWEEP_LAG = "SweepLag"
    ANNOUNCEMENT_FAILURES = "AnnouncementFailures"
    DELIVERED = "Delivered"
    GONE = "Gone"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    EXPIRED = "Expired"
    REJECTED = "Rejected"
    RECORDED = "Recorded"
    HISTORY_FAILURES = "HistoryFailures"
    RECOVERED = "Recovered"
    UNCLAIMED = "Unclaimed"
    DELIVERY_TIME = "DeliveryTime"
    POST_P50 = "PostP50"
    POST_P99 = "PostP99"


_UNITS = {
    Metric.DURATION: "Seconds",
    Metric.SWEEP_LAG: "Seconds",
    Metric.DELIVERY_TIME: "Seconds",
    Metric.POST_P50: "Seconds",
    Metric.POST_P99: "Seconds",
    Metric.MISSED_DISCONNECT_SHARE: "Percent",
}
# CloudWatch charges for each value of `cause`: only these two are drawn by it.
_BY_CAUSE = (Metric.REFUSED, Metric.CLOSED)
_DIMENSIONS = [["service", "stage"]]
_DIMENSIONS_BY_CAUSE = [*_DIMENSIONS, ["service", "stage", "cause"]]


def fields(stage: str, values: Mapping[Metric, float], cause: str | None = None) -> dict[str, Any]:
    """Return the log fields from which CloudWatch takes the metrics.

    CloudWatch charges for each combination of dimension values, so the dimensions are only the
    service, the stage and, for `Refused` and `Closed`, the cause; never a client.
    """
    named = {"service": SERVICE, "stage": stage}
    by_cause: list[Metric] = []
    if cause is not None:
        named["cause"] = cause
        by_cause = [metric for metric in values if metric in _BY_CAUSE]
    others = [metric for metric in values if metric not in by_cause]
    groups = ((by_cause, _DIMENSIONS_BY_CAUSE), (others, _DIMENSIONS))
    directives = [_directive(group, dimensions) for group, dimensions in groups if group]
    return {
        DIRECTIVE: {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives},
        **named,
        **{metric.value: value for metric, value in values.items()},
    }


def _directive(metrics: Sequence[Metric], dimensions: list[list[str]]) -> dict[str, Any]:
    definitions = [
        {"Name": metric.value, "Unit": _UNITS.get(metric, "Count")} for metric in metrics
    ]
    return {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions}


def only(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a log line that make its metrics, without all others."""
    names = {DIRECTIVE}
    for directive in line[DIRECTIVE]["CloudWatchMetrics"]:
        names.update(*directive["Dimensions"])
        names.update(metric["Name"] for metric in directive["Metrics"])
    return {name: value for name, value in line.items() if name in names}
