"""Schedules: their rates, events and failures."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from localgateway.lambda_runtime import schedules
from localgateway.lambda_runtime.cron import Cron
from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut
from localgateway.lambda_runtime.project import Schedule
from tests.localgateway.support import Gateway, Told


def ticks(told: Told) -> bool:
    """Select the reports of scheduled runs."""
    return told.kind == "tick"


class Scripted:
    """A function with given outcomes that cancels the schedule after the last."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.events: list[Any] = []

    async def invoke(self, event: Any) -> Outcome:
        """Return the next outcome."""
        self.events.append(event)
        if not self.outcomes:
            raise asyncio.CancelledError
        return self.outcomes.pop(0)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86400),
        ("rate(0 minutes)", None),
        ("cron(0 3 * * ? *)", None),
    ],
)
def test_a_rate_has_a_period(expression: str, seconds: float | None) -> None:
    """Rates are in minutes, hours or days; other expressions have no period."""
    assert schedules.period(expression) == seconds


def test_a_scheduled_event_is_eventbridges() -> None:
    """The event has EventBridge's fields."""
    at = datetime(2024, 11, 11, 11, 35, 24, tzinfo=UTC)

    event = schedules.scheduled_event("rule-of-ours", at, "us-east-1")

    assert event == {
        "version": "0",
        "id": event["id"],
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2024-11-11T11:35:24Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/rule-of-ours"],
        "detail": {},
    }


def test_a_failed_run_is_logged_and_the_next_one_starts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failed run does not stop the schedule."""
    function = Scripted(Failed("it raised"), TimedOut(3), Returned(None))

    with caplog.at_level(logging.ERROR), contextlib.suppress(asyncio.CancelledError):
        asyncio.run(schedules.run("rule", 0.01, cast(Function, function), "us-east-1", {}))

    assert len(function.events) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "schedule rule: it raised",
        "schedule rule: timed out after 3 s",
    ]


class Moments:
    """A cron expression with given seconds until its runs, instead of minutes."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the next run, or None after the last."""
        return moment + timedelta(seconds=self.seconds.pop(0)) if self.seconds else None


def test_a_cron_schedule_runs_at_its_times() -> None:
    """It ends when no further run is due."""
    function = Scripted(Returned(None), Failed("it raised"))
    cron = Moments(0.01, 0.02)

    asyncio.run(schedules.run_at("rule", cast(Cron, cron), cast(Function, function), "us-east-1"))

    assert [event["resources"][0][-9:] for event in function.events] == ["rule/rule"] * 2


def test_a_schedule_that_eventbridge_would_not_take_is_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says why."""
    schedule = Schedule("rule", "cron(0 0 * * * *)", "function")

    async def run() -> None:
        functions = {"function": cast(Function, Scripted())}
        async with schedules.running([schedule], functions, None, "us-east-1", {}):
            """Nothing runs."""

    asyncio.run(run())

    assert "skipping schedule rule: 'cron(0 0 * * * *)': one of day" in caplog.text


def test_a_schedule_keeps_its_rate_while_versions_follow_each_other() -> None:
    """Who saves more often than it runs would never see it run."""
    schedule = Schedule("rule", "rate(5 minutes)", "function")
    function = Scripted()
    functions = {"function": cast(Function, function)}
    last: dict[tuple[str, float], float] = {}

    async def run() -> None:
        for _ in range(5):  # of a minute each
            async with schedules.running([schedule], functions, None, "us-east-1", last):
                await asyncio.sleep(0)
            assert not function.events
            last["rule", 300.0] -= 60
        async with schedules.running([schedule], functions, None, "us-east-1", last):
            while not function.events:
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 10))

    assert len(function.events) == 1


def test_schedules_run_at_their_rate(hasty: Gateway) -> None:
    """Each run receives an EventBridge event of its own."""
    known = len(hasty.recorder.all(ticks))
    told = hasty.recorder.wait(ticks, known + 3)[known:]

    events = [each.content for each in told[:3]]
    assert len({event["id"] for event in events}) == 3
    assert {event["source"] for event in events} == {"aws.events"}
    assert {event["detail-type"] for event in events} == {"Scheduled Event"}
    assert events[0]["resources"] == [
        "arn:aws:events:us-east-1:123456789012:rule/sample-dev-tick-event"
    ]
