"""Runs the functions of `@app.schedule` at their rate or their times, like EventBridge.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localgateway.lambda_runtime.cron import Cron, CronError, parse
from localgateway.lambda_runtime.outcomes import Failed, TimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from localgateway.lambda_runtime.functions import Function
    from localgateway.lambda_runtime.project import Schedule

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
# In seconds.
_LOOK_AGAIN = 60.0
_ACCOUNT = "123456789012"

_log = logging.getLogger(__name__)


def period(expression: str) -> float | None:
    """Return the period of a rate expression in seconds, or None for a cron expression."""
    match = _RATE.fullmatch(expression)
    return int(match[1]) * float(_SECONDS[match[2]]) if match else None


def scheduled_event(rule: str, at: datetime, region: str) -> dict[str, Any]:
    """Return EventBridge's event for a run of a rule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": _ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{_ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


@contextlib.asynccontextmanager
async def running(
    schedules: Iterable[Schedule],
    functions: Mapping[str, Function],
    every: float | None,
    region: str,
    last: dict[tuple[str, float], float],
) -> AsyncIterator[None]:
    """Run schedules within the block, each at its own rate or every `every` seconds.

    `last` is when each was due last, by rule and rate; the next version's schedules go on from it.
    """
    tasks: list[asyncio.Task[None]] = []
    for schedule in schedules:
        seconds = every or period(schedule.expression)
        function = functions[schedule.function]
        if seconds is not None:
            tasks.append(asyncio.create_task(run(schedule.rule, seconds, function, region, last)))
            continue
        try:
            cron = parse(schedule.expression)
        except CronError as error:
            _log.warning("skipping schedule %s: %s", schedule.rule, error)
        else:
            tasks.append(asyncio.create_task(run_at(schedule.rule, cron, function, region)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(
    rule: str,
    every: float,
    function: Function,
    region: str,
    last: dict[tuple[str, float], float],
) -> None:
    """Run a function every `every` seconds until cancelled, from when it was due last.

    A run that takes longer delays the next; EventBridge would start them in parallel.
    """
    loop = asyncio.get_running_loop()
    moment = last.setdefault((rule, every), loop.time())
    while True:
        moment = max(moment + every, loop.time())
        await asyncio.sleep(moment - loop.time())
        last[rule, every] = moment
        await _run_once(rule, function, region)


async def run_at(rule: str, cron: Cron, function: Function, region: str) -> None:
    """Run a function at the times of a cron expression until cancelled."""
    while (moment := cron.next_after(datetime.now(UTC))) is not None:
        # The machine may sleep, or its clock may be set: look again at least every minute.
        while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LOOK_AGAIN))
        await _run_once(rule, function, region)


async def _run_once(rule: str, function: Function, region: str) -> None:
    outcome = await function.invoke(scheduled_event(rule, datetime.now(UTC), region))
    match outcome:
        case Failed(cause=cause):
            _log.error("schedule %s: %s", rule, cause)
        case TimedOut(seconds=seconds):
            _log.error("schedule %s: timed out after %g s", rule, seconds)
