"""What a month of a stage is metered as, and what that costs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.cost.logs import LogBytes
    from bench.cost.prices import Prices

ROOT = Path(__file__).resolve().parents[2]
GB = 1024**3
DAYS = 30
# https://aws.amazon.com/api-gateway/pricing/ (WebSocket)
MESSAGE_UNIT = 32 * 1024
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
LONGEST_MINUTES = 120
# The sweep probes a row when it is so old, at most so many a second, in so many seconds of a run;
# docs/sweep.md.
PROBED_FROM_MINUTES = 1
SWEEP_MINUTES = 5
PROBES_A_SECOND = 500
RUN_S = 230
# Billed time of an invocation, in s: assumed, since nothing was run on AWS.
CONNECT_S, DISCONNECT_S, MESSAGE_S = 0.030, 0.020, 0.005
# Those that read the history: a ping with heads, and a recovery; assumed, too.
HEADS_S, RECOVER_S = 0.015, 0.030
# The units of each, docs/delivery.md: a row and the client's head, read eventually consistent; a
# row and the heads of both streams. A recovery that finds something reads 4 KB with each unit more.
HEADS_UNITS, RECOVER_UNITS = 1, 3
# Billed time of a post (docs/scale.md) and of a probe at the sweep's own rate, in s.
POST_S, PROBE_S = 0.00021, 1 / PROBES_A_SECOND
HANDLER_GB, NOTIFY_GB = 0.5, 1769 / 1024
# Lambda reads an empty queue with five pollers, each of which waits 20 s; assumed:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLS_A_DAY = 5 * 24 * 60 * 60 / 20
ROW_BYTES, PING_BYTES = 400, 100
# What an entry of the history has besides the envelope.
ENTRY_BYTES = 100
# The metrics that an idle stage publishes: the sweep's.
IDLE_METRICS = (
    Metric.SWEEP_LAG,
    Metric.LIVE_CONNECTIONS,
    Metric.ORPHANS_REMOVED,
    Metric.MISSED_DISCONNECT_SHARE,
)
HISTORY_METRICS = {Metric.RECORDED, Metric.RECOVERED, Metric.HISTORY_FAILURES, Metric.UNCLAIMED}
# How many causes a busy stage usually sees: of refusals, and of ends.
REFUSALS_SEEN, ENDS_SEEN = 3, 6
# Custom metrics that are published once for each cause.
BY_CAUSE = {Metric.REFUSED: REFUSALS_SEEN, Metric.CLOSED: ENDS_SEEN}
FREE_DASHBOARD_METRICS = 50


@dataclass(frozen=True)
class Usage:
    """How a stage is used.

    `connections` are open at the same time, for `hours` of each day; each of them lasts `minutes`
    on average, and its client sends a ping every `ping_minutes`. With the `history`, a client that
    is authenticated recovers at the start of each connection and pings with heads.
    """

    connections: int
    hours: float = 24
    minutes: float = LONGEST_MINUTES
    ping_minutes: float = 5
    notifications_a_day: float = 20
    envelope_bytes: int = 1024
    row_logged: bool = True
    history: bool = True
    history_hours: float = 24

    @property
    def connection_minutes(self) -> float:
        """The minutes of all connections in a month."""
        return self.connections * self.hours * 60 * DAYS

    @property
    def handshakes(self) -> float:
        """The handshakes of a month; as many connections end."""
        return self.connection_minutes / self.minutes

    @property
    def pings(self) -> float:
        """The pings of a month; each is answered."""
        return self.connection_minutes / self.ping_minutes

    @property
    def recoveries(self) -> float:
        """The recoveries of a month: one at the start of each connection."""
        return self.handshakes if self.history else 0.0

    @property
    def deliveries(self) -> float:
        """The posts of a month: notifications to every open connection."""
        return self.connections * self.notifications_a_day * self.hours / 24 * DAYS

    @property
    def runs(self) -> float:
        """The runs of the sweep in a month."""
        return DAYS * 24 * 60 / SWEEP_MINUTES

    @property
    def passes_a_run(self) -> float:
        """The part of the table that one run of the sweep gets through, at most 1."""
        return min(1.0, PROBES_A_SECOND * RUN_S / max(1.0, self._probed))

    @property
    def probes(self) -> float:
        """The probes of a month: one in each pass for each row that is old enough."""
        return self.runs * self.passes_a_run * self.hours / 24 * self._probed

    @property
    def _probed(self) -> float:
        return self.connections * max(0.0, 1 - PROBED_FROM_MINUTES / self.minutes)


@dataclass(frozen=True)
class Line:
    """One line of the bill: a number of units and their price in US dollars."""

    name: str
    units: float
    unit: str
    price: float
    known: bool = True

    @property
    def cost(self) -> float:
        """The cost in US dollars a month."""
        return self.units * self.price


@dataclass(frozen=True)
class Bill:
    """The lines of a month. Those that AWS may or may not meter are not in the total."""

    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> float:
        """What is metered for certain, in US dollars a month."""
        return sum(line.cost for line in self.lines if line.known)


def custom_metrics(usage: Usage) -> int:
    """Return how many custom metrics a stage publishes; an idle one only the sweep's."""
    if not usage.connections:
        return len(IDLE_METRICS)
    published = set(Metric) - (set() if usage.history else HISTORY_METRICS)
    return len(published) + sum(BY_CAUSE.values())


def alarm_metrics(resources: Mapping[str, Any]) -> int:
    """Return how many metrics the alarms watch: each one in an expression is metered."""
    alarms = [
        resource["Properties"]
        for resource in resources.values()
        if resource.get("Type") == "AWS::CloudWatch::Alarm"
    ]
    return sum(
        len([m for m in alarm.get("Metrics", ()) if "MetricStat" in m]) or 1 for alarm in alarms
    )


def log_bytes(usage: Usage, measured: LogBytes) -> float:
    """Return the bytes of all logs of a month."""
    connection = measured.connect + measured.disconnect
    connection -= 0 if usage.row_logged else measured.row
    requests = 2 * usage.handshakes + usage.pings + usage.recoveries
    invocations = requests + usage.runs
    return (
        usage.handshakes * connection
        + invocations * measured.invocation
        + requests * measured.access
    )


def bill(usage: Usage, prices: Prices, measured: LogBytes) -> Bill:
    """Return the bill of a month."""
    resources = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Resources"]
    shakes, pings, posts, probes = usage.handshakes, usage.pings, usage.deliveries, usage.probes
    units = math.ceil(usage.envelope_bytes / MESSAGE_UNIT)
    notifications = usage.notifications_a_day * DAYS if usage.connections else 0.0
    recoveries = usage.recoveries
    heads = pings if usage.history else 0.0
    handlers = (
        shakes * (CONNECT_S + DISCONNECT_S)
        + pings * (HEADS_S if usage.history else MESSAGE_S)
        + recoveries * RECOVER_S
        + probes * PROBE_S
    ) * HANDLER_GB
    recorded = notifications if usage.history else 0.0
    # The transaction writes an entry and the head, and counts both twice.
    entry_bytes = usage.envelope_bytes + ENTRY_BYTES
    write_units = 2 * (1 + math.ceil(entry_bytes / 1024))
    kept = recorded / DAYS / 24 * usage.history_hours * entry_bytes
    table_bytes = usage.connections * ROW_BYTES
    logs = log_bytes(usage, measured) / GB
    sent = posts * usage.envelope_bytes + pings * PING_BYTES
    scanned = (usage.runs * usage.passes_a_run + notifications) * table_bytes / 4096 / 2
    lines = [
        Line(
            "API Gateway: connection minutes",
            usage.connection_minutes,
            "",
            prices.connection_minute,
        ),
        Line("API Gateway: pings and answers", 2 * pings, "messages", prices.message),
        Line("API Gateway: recoveries and answers", 2 * recoveries, "messages", prices.message),
        Line("API Gateway: notifications", posts * units, "messages", prices.message),
        Line(
            "Lambda: connect, disconnect, message, sweep", handlers, "GB-s", prices.lambda_gb_second
        ),
        Line("Lambda: notify", posts * POST_S * NOTIFY_GB, "GB-s", prices.lambda_gb_second),
        Line(
            "Lambda: invocations",
            2 * shakes + pings + recoveries + usage.runs + notifications,
            "",
            prices.lambda_request,
        ),
        Line("DynamoDB: rows written and deleted", 2 * shakes, "units", prices.write_unit),
        Line("DynamoDB: index written and deleted", 2 * shakes, "units", prices.write_unit),
        Line("DynamoDB: rows read back", shakes, "units", prices.read_unit),
        Line("DynamoDB: scans of sweep and notify", scanned, "units", prices.read_unit),
        Line("DynamoDB: the sweep's position", 2 * usage.runs, "units", prices.write_unit),
        Line("DynamoDB: history written", write_units * recorded, "units", prices.write_unit),
        Line(
            "DynamoDB: history read",
            HEADS_UNITS * heads + RECOVER_UNITS * recoveries + recorded,
            "units",
            prices.read_unit,
        ),
        Line("DynamoDB: history stored", kept / GB, "GB", prices.table_gb),
        Line("DynamoDB: storage, index, backups", 3 * table_bytes / GB, "GB", prices.table_gb),
        Line("SNS: notifications", notifications, "", prices.publish),
        Line("SQS: Lambda polls the queue", POLLS_A_DAY * DAYS, "requests", prices.queue_request),
        Line("EventBridge: ends of connections", shakes, "events", prices.event),
        Line("CloudWatch: logs", logs, "GB", prices.log_gb),
        Line("CloudWatch: logs kept 90 days", 3 * 0.15 * logs, "GB", prices.log_stored_gb),
        Line("CloudWatch: custom metrics", custom_metrics(usage), "", prices.metric),
        Line("CloudWatch: alarms", alarm_metrics(resources), "metrics", prices.alarm_metric),
        Line("CloudWatch: dashboard, within the free size", 0, "", prices.dashboard),
        Line("Data transfer to clients", sent / GB, "GB", prices.transfer_gb),
        Line("API Gateway: handshakes", shakes, "messages", prices.message, known=False),
        Line("API Gateway: the sweep's probes", probes, "messages", prices.message, known=False),
    ]
    return Bill(lines)
