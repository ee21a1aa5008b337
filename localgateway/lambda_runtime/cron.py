"""EventBridge's cron expressions, in UTC.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EXPRESSION = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# EventBridge counts from Sunday as 1.
_DAYS = {
    name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)
}
_YEARS = (1970, 2199)


class CronError(ValueError):
    """An expression is not one of EventBridge's."""


@dataclass(frozen=True)
class Cron:
    """When a schedule runs; `days` and `weekdays` are fields as written, one of them is `?`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: str
    months: frozenset[int]
    weekdays: str
    years: frozenset[int]

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first run after a moment, or None if there is none."""
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = at.replace(hour=0, minute=0)
        while day.year <= max(self.years):
            if self._runs_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        if (run := day.replace(hour=hour, minute=minute)) >= at:
                            return run
            day += timedelta(days=1)
        return None

    def _runs_on(self, day: datetime) -> bool:
        if day.year not in self.years or day.month not in self.months:
            return False
        if self.weekdays == "?":
            found = [_is_day(day, part) for part in self.days.split(",")]
        else:
            found = [_is_weekday(day, part) for part in self.weekdays.split(",")]
        return any(found)


def parse(expression: str) -> Cron:
    """Return the schedule of an expression; raise `CronError` if it is not valid."""
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise CronError(f"{expression!r} does not have the form cron(six fields)")
    minutes, hours, days, months, weekdays, years = (text.upper() for text in match.groups())
    if (days == "?") == (weekdays == "?"):
        raise CronError(f"{expression!r}: one of day of month and day of week has to be ?")
    try:
        cron = Cron(
            _values(minutes, 0, 59),
            _values(hours, 0, 23),
            days,
            _values(months, 1, 12, _MONTHS),
            weekdays,
            _values(years, *_YEARS),
        )
        # It looks at each part, so that a wrong one is found now.
        cron._runs_on(datetime(min(cron.years), min(cron.months), 1, tzinfo=UTC))
    except ValueError as error:
        raise CronError(f"{expression!r}: {error}") from error
    return cron


def _values(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    chosen: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if first == "*":
            start, end = low, high
        else:
            start = _number(first, names)
            end = _number(last, names) if last else (high if step else start)
        every = int(step) if step else 1
        if not low <= start <= end <= high or every < 1:
            raise ValueError(f"{part} is not within {low} to {high}")
        chosen |= set(range(start, end + 1, every))
    return frozenset(chosen)


def _number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def _is_day(day: datetime, part: str) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if part == "L":
        return day.day == last
    if part.endswith("W"):
        return day.day == _nearest_weekday(day.year, day.month, int(part[:-1]), last)
    return day.day in _values(part, 1, 31)


def _nearest_weekday(year: int, month: int, wanted: int, last: int) -> int:
    wanted = min(wanted, last)
    weekday = calendar.weekday(year, month, wanted)
    if weekday == calendar.SATURDAY:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == calendar.SUNDAY:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted


def _is_weekday(day: datetime, part: str) -> bool:
    today = (day.weekday() + 1) % 7 + 1
    if "#" in part:
        name, _, number = part.partition("#")
        return today == _number(name, _DAYS) and (day.day - 1) // 7 + 1 == int(number)
    if part == "L":
        return today == _DAYS["SAT"]
    if part.endswith("L"):
        last = calendar.monthrange(day.year, day.month)[1]
        return today == _number(part[:-1], _DAYS) and day.day > last - 7
    return today in _values(part, 1, 7, _DAYS)
