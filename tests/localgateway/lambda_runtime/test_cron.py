"""Cron expressions, with the examples of EventBridge's documentation."""

import re
from datetime import UTC, datetime

import pytest

from localgateway.lambda_runtime.cron import CronError, parse


@pytest.mark.parametrize(
    ("expression", "after", "runs"),
    [
        ("cron(15 10 * * ? *)", "2026-11-25 10:14", "2026-11-25 10:15"),
        ("cron(15 10 * * ? *)", "2026-11-25 10:15", "2026-11-26 10:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27 18:00", "2026-11-30 18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-25 00:00", "2026-12-01 08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-25 10:51", "2026-11-25 11:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-25 17:55", "2026-11-26 08:00"),
        ("cron(0 9 ? * 2#1 *)", "2026-11-25 00:00", "2026-12-07 09:00"),
        ("cron(0 12 L * ? *)", "2028-02-10 00:00", "2028-02-29 12:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-01 00:00", "2026-11-27 00:00"),
        ("cron(0 0 ? * L *)", "2026-11-25 00:00", "2026-11-28 00:00"),
        ("cron(0 9 3W * ? *)", "2026-09-30 00:00", "2026-10-02 09:00"),
        ("cron(0 9 1W * ? *)", "2026-07-31 00:00", "2026-08-03 09:00"),
        ("cron(0 9 31W * ? *)", "2026-01-31 09:00", "2026-02-27 09:00"),
        ("cron(0,30 0 1 JAN,jul ? 2027)", "2026-11-25 00:00", "2027-01-01 00:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-25 00:00", "2028-02-29 00:00"),
        ("cron(0 0 1 1 ? 2020)", "2026-11-25 00:00", None),
    ],
)
def test_the_next_run(expression: str, after: str, runs: str | None) -> None:
    """It is later than the given time, in UTC."""
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)

    found = parse(expression).next_after(moment)

    assert (found and f"{found:%Y-%m-%d %H:%M}") == runs


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minute)",
        "cron(0 0 * * *)",
        "cron(0 0 * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 1,32 * ? *)",
        "cron(0 0 ? * SUN-SAT,8 *)",
        "cron(0/-1 0 * * ? *)",
        "cron(0 0 * 13 ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * NEVER *)",
        "cron(10-5 0 * * ? *)",
        "cron(0 0 * * ? 1960)",
    ],
)
def test_another_expression_is_an_error(expression: str) -> None:
    """The message has the expression."""
    with pytest.raises(CronError, match=re.escape(repr(expression))):
        parse(expression)
