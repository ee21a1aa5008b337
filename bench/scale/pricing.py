"""What a simulated day costs, line by line, to the last message."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from bench.cost import model
from bench.cost.model import DAYS, GB, HANDLER_GB, MESSAGE_UNIT, NOTIFY_GB, Bill, Line, Usage
from bench.scale.counted import write_units
from bench.scale.load import Total

if TYPE_CHECKING:
    from bench.cost.prices import Prices
    from bench.scale.day import Day


def price(day: Day, prices: Prices) -> Bill:
    """Return the bill of a day. Its lines have the names of those of a month in bench/cost."""
    count, units, load = day.totals, day.units, day.load
    shakes, ends = count[Total.HANDSHAKES], count[Total.ENDS]
    pings, recoveries = count[Total.PINGS], count[Total.RECOVERIES]
    sweeping, done = day.sweeping, [*day.deliveries.done, *day.deliveries.active]
    notifications, posted = len(done), sum(each.posted for each in done)
    removed = sweeping.removed + day.deliveries.removed
    handlers = (
        shakes * model.CONNECT_S
        + ends * model.DISCONNECT_S
        + pings * model.HEADS_S
        + recoveries * model.RECOVER_S
        + sweeping.busy_s
    )
    notify_s = sum(each.seconds for each in done)
    envelopes = math.ceil(load.envelope_bytes / MESSAGE_UNIT)
    scanned = (sweeping.scanned + day.deliveries.read_rows) * model.ROW_BYTES / 4096 / 2
    entry = load.envelope_bytes + model.ENTRY_BYTES
    sent = posted * load.envelope_bytes + pings * model.PING_BYTES
    sent += day.missed_bytes
    resources = json.loads((model.ROOT / ".chalice" / "resources.json").read_text())["Resources"]
    invocations = shakes + ends + pings + recoveries + sweeping.runs + notifications
    return Bill(
        [
            Line(
                "API Gateway: connection minutes",
                count[Total.CONNECTION_S] / 60,
                "",
                prices.connection_minute,
            ),
            Line("API Gateway: pings and answers", 2 * pings, "", prices.message),
            Line("API Gateway: recoveries and answers", 2 * recoveries, "", prices.message),
            Line("API Gateway: notifications", posted * envelopes, "", prices.message),
            Line(
                "Lambda: connect, disconnect, message, sweep",
                handlers * HANDLER_GB,
                "",
                prices.lambda_gb_second,
            ),
            Line("Lambda: notify", notify_s * NOTIFY_GB, "", prices.lambda_gb_second),
            Line("Lambda: invocations", invocations, "", prices.lambda_request),
            Line(
                "DynamoDB: rows written and deleted",
                shakes * units.connect.writes + ends * units.disconnect.writes + removed,
                "",
                prices.write_unit,
            ),
            Line(
                "DynamoDB: index written and deleted",
                shakes * units.connect.index_writes
                + ends * units.disconnect.index_writes
                + removed,
                "",
                prices.write_unit,
            ),
            Line("DynamoDB: rows read back", shakes * units.connect.reads, "", prices.read_unit),
            Line("DynamoDB: scans of sweep and notify", scanned, "", prices.read_unit),
            Line(
                "DynamoDB: history written",
                notifications * 2 * (1 + write_units(entry)),
                "",
                prices.write_unit,
            ),
            Line(
                "DynamoDB: history read",
                pings * units.ping.reads + recoveries * units.recover.reads + day.missed_units,
                "",
                prices.read_unit,
            ),
            Line("SNS: notifications", notifications, "", prices.publish),
            Line(
                "EventBridge: ends of connections",
                ends * units.disconnect.events + removed,
                "",
                prices.event,
            ),
            Line("CloudWatch: logs", _log_bytes(day) / GB, "", prices.log_gb),
            Line(
                "CloudWatch: custom metrics",
                model.custom_metrics(Usage(load.clients)) / DAYS,
                "",
                prices.metric,
            ),
            Line(
                "CloudWatch: alarms",
                model.alarm_metrics(resources) / DAYS,
                "",
                prices.alarm_metric,
            ),
            Line("Data transfer to clients", sent / GB, "", prices.transfer_gb),
            Line("API Gateway: handshakes", shakes, "", prices.message, known=False),
            Line(
                "API Gateway: the sweep's probes",
                sweeping.probed,
                "",
                prices.message,
                known=False,
            ),
        ]
    )


def _log_bytes(day: Day) -> float:
    count, logs = day.totals, day.units.logs
    shakes, ends = count[Total.HANDSHAKES], count[Total.ENDS]
    requests = shakes + ends + count[Total.PINGS] + count[Total.RECOVERIES]
    removed = day.sweeping.removed + day.deliveries.removed  # a line like that of `disconnect`
    return (
        shakes * logs.connect
        + (ends + removed) * logs.disconnect
        + (requests + day.sweeping.runs) * logs.invocation
        + requests * logs.access
    )
