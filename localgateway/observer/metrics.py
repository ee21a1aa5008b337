"""Metrics of the functions' log lines, by minute, as CloudWatch would have them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 15
# Lines that wait for somebody to look, and their length in bytes; the oldest ones go.
LINES = 10_000
LINES_SIZE = 4 * 1024 * 1024
# What CloudWatch takes of a value and of a text: NaN and infinity are neither.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
_LARGEST = 2.0**360
_TEXT = 1024
# Different series, beyond which new ones are left out: names and dimensions may be a client's.
SERIES = 500


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's name, unit and the dimensions that are not the same for all."""

    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Statistics:
    """The statistics of one minute."""

    count: int
    total: float
    low: float
    high: float


class Metrics:
    """The statistics of each series in each of the last minutes.

    Lines are parsed when somebody looks; parsing each at once would cost more than all events do.
    """

    def __init__(self) -> None:
        self._series: dict[Series, dict[int, Statistics]] = {}
        self._lines: deque[tuple[bytes, float]] = deque()
        self._size = 0

    def add(self, line: bytes, now: float) -> None:
        """Add the metrics of a log line, if it has some; `now` is in epoch s."""
        self._lines.append((line, now))
        self._size += len(line)
        while len(self._lines) > LINES or self._size > LINES_SIZE:
            self._size -= len(self._lines.popleft()[0])

    def parse(self) -> None:
        """Parse the lines that were added."""
        while self._lines:
            self._parse(*self._lines.popleft())
        self._size = 0

    def _parse(self, line: bytes, now: float) -> None:
        try:
            record = json.loads(line)
            found = list(values(record))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return
        minute = int(now // 60)
        for series, value in found:
            minutes = self._series.get(series)
            if minutes is None:
                if len(self._series) >= SERIES:
                    continue
                minutes = self._series[series] = {}
            known = minutes.get(minute)
            if known is None:
                for old in [each for each in minutes if each <= minute - MINUTES]:
                    del minutes[old]
                minutes[minute] = Statistics(1, value, value, value)
            else:
                known.count += 1
                known.total += value
                known.low = min(known.low, value)
                known.high = max(known.high, value)

    def shown(self, now: float) -> list[dict[str, Any]]:
        """Return each series with its statistics by minute, the last `MINUTES` of them."""
        self.parse()
        first = int(now // 60) - MINUTES + 1
        return [
            {
                "name": series.name,
                "unit": series.unit,
                "dimensions": dict(series.dimensions),
                "minutes": [
                    None
                    if (each := minutes.get(minute)) is None
                    else [each.count, each.total, each.low, each.high]
                    for minute in range(first, first + MINUTES)
                ],
            }
            for series, minutes in self._series.items()
            if any(minute >= first for minute in minutes)
        ]


def values(record: Any) -> Iterator[tuple[Series, float]]:
    """Return each series of a record in the embedded metric format, and its values.

    What CloudWatch would not take as a value or unit is left out; long texts are cut.
    """
    for directive in record["_aws"]["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = tuple((name[:_TEXT], _text(record[name])) for name in sorted(names))
            for metric in directive["Metrics"]:
                value = record[metric["Name"]]
                unit = metric.get("Unit")
                shown_unit = _text(unit) if isinstance(unit, str) else "None"
                series = Series(_text(metric["Name"]), shown_unit, dimensions)
                for each in value if isinstance(value, list) else [value]:
                    if _is_value(each):
                        yield series, float(each)


def _is_value(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= _LARGEST


def _text(value: object) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{type(value).__name__} is no text")
    return str(value)[:_TEXT]
