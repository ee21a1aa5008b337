"""Metrics in CloudWatch's embedded metric format: fields of a log line, without any call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from collections.abc import Mapping
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
    LIVE_CONNECTIONS = "LiveConnections"
    ORPHANS_REMOVED = "OrphansRemoved"
    MISSED_DISCONNECT_SHARE = "MissedDisconnectShare"
    SWEEP_LAG = "SweepLag"
    ANNOUNCEMENT_FAILURES = "AnnouncementFailures"
    DELIVERED = "Delivered"
    GONE = "Gone"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    REJECTED = "Rejected"
    RECORDED = "Recorded"
    HISTORY_FAILURES = "HistoryFailures"
    RECOVERED = "Recovered"
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


def fields(stage: str, values: Mapping[Metric, float], cause: str | None = None) -> dict[str, Any]:
    """Return the log fields from which CloudWatch takes the metrics.

    CloudWatch charges for each combination of dimension values, so the dimensions are only the
    service, the stage and, if given, the cause; never a client.
    """
    dimensions = [["service", "stage"]]
    named = {"service": SERVICE, "stage": stage}
    if cause is not None:
        dimensions.append(["service", "stage", "cause"])
        named["cause"] = cause
    definitions = [{"Name": metric.value, "Unit": _UNITS.get(metric, "Count")} for metric in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions}
    return {
        DIRECTIVE: {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]},
        **named,
        **{metric.value: value for metric, value in values.items()},
    }


def only(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a log line that make its metrics, without all others."""
    [directive] = line[DIRECTIVE]["CloudWatchMetrics"]
    names = {DIRECTIVE, *(metric["Name"] for metric in directive["Metrics"])}
    names.update(*directive["Dimensions"])
    return {name: value for name, value in line.items() if name in names}
