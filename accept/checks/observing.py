"""AWS only: logs, metrics, alarms and the dashboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from accept.checks.api import CHALICE_MAKES_NONE
from accept.definitions import resources
from accept.errors import FailedError, SkippedError
from accept.polling import until
from accept.target import APP, stage_config

if TYPE_CHECKING:
    from accept.run import Run

METRICS_S = 300.0
NAMESPACE, OPENED = "IncidentWebSocket", "Opened"


async def log_groups(run: Run) -> str:
    """Check that each function has a log group with the retention of `.chalice/config.json`."""
    days = stage_config(run.target.project, run.target.stage)["log_retention_in_days"]
    prefix = f"/aws/lambda/{APP}-{run.target.stage}-"
    answer = await run.aws.call("logs", "describe_log_groups", logGroupNamePrefix=prefix)
    seen = {group["logGroupName"]: group.get("retentionInDays") for group in answer["logGroups"]}
    expected = {f"/aws/lambda/{name}": days for name in run.target.functions.values()}
    wrong = {name: seen.get(name) for name in expected if seen.get(name) != days}
    if wrong:
        raise FailedError(f"a retention of {days} days", wrong, "CloudWatch Logs")
    return f"{len(expected)} groups, {days} days"


async def alarms(run: Run) -> str:
    """Check that every alarm of the resources file exists and none is in ALARM."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    prefix = f"{APP}-{run.target.stage}-"
    seen: dict[str, str] = {}
    start: dict[str, str] = {}
    while True:
        page = await run.aws.call("cloudwatch", "describe_alarms", AlarmNamePrefix=prefix, **start)
        for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
            seen[alarm["AlarmName"]] = alarm["StateValue"]
        if not page.get("NextToken"):
            break
        start = {"NextToken": page["NextToken"]}
    expected = {
        alarm["AlarmName"]
        for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        for alarm in resources(run.target, kind).values()
    }
    missing = sorted(expected - seen.keys())
    if missing:
        raise FailedError(f"{len(expected)} alarms", f"{missing} are missing", "the stack")
    ringing = sorted(name for name, state in seen.items() if state == "ALARM")
    if ringing:
        raise FailedError("no alarm in ALARM", ringing, "docs/runbook.md")
    return f"{len(seen)} alarms, none in ALARM"


async def dashboard(run: Run) -> str:
    """Check that the dashboard exists."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    name = f"{APP}-{run.target.stage}"
    await run.aws.call("cloudwatch", "get_dashboard", DashboardName=name)
    return name


async def metrics(run: Run) -> str:
    """Check that this run's connections arrive in the metric `Opened`."""
    expected = len(run.clients)
    started = datetime.now(UTC) - timedelta(seconds=run.seconds())

    async def counted() -> float:
        answer = await run.aws.call(
            "cloudwatch",
            "get_metric_statistics",
            Namespace=NAMESPACE,
            MetricName=OPENED,
            Dimensions=[
                {"Name": "service", "Value": APP},
                {"Name": "stage", "Value": run.target.stage},
            ],
            StartTime=started.replace(second=0, microsecond=0),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    seen, arrived = await until(counted, lambda sum_: sum_ >= expected, run.left(METRICS_S))
    if not arrived:
        where = f"the log of {run.target.functions['connect']}: embedded metrics"
        raise FailedError(f"{OPENED} of at least {expected}", seen, where)
    return f"{OPENED} {seen:g}"
