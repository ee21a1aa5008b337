"""Evaluates CloudWatch alarms of a template over series of data points, minute by minute.

It follows https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html:
an alarm is evaluated every minute over the last `EvaluationPeriods` periods, and goes into ALARM
when `DatapointsToAlarm` of them breach the threshold. One simplification: CloudWatch also looks at
some older data points when recent ones are missing; here, a missing data point counts at once as
`TreatMissingData` says.
"""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max}
_FUNCTIONS: Mapping[str, Any] = {"FILL": lambda value, filler: filler if value is None else value}


class _Lazy(ast.NodeTransformer):
    """Makes Python evaluate one branch of CloudWatch's IF only: the other may divide by zero."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "IF":
            test, then, otherwise = node.args
            return ast.IfExp(test, then, otherwise)
        return node


def _compiled(expression: str) -> CodeType:
    tree = _Lazy().visit(ast.parse(expression, mode="eval"))
    return compile(ast.fix_missing_locations(tree), expression, "eval")


@dataclass(frozen=True)
class Metric:
    """A metric as a series is filed under; `of` is the last dimension that is not the stage."""

    name: str
    of: str = ""


@dataclass(frozen=True)
class Series:
    """The values of a metric by minute, each visible `late` minutes after its own."""

    values: Mapping[int, float]
    late: int = 0

    def seen(self, start: int, end: int, now: int) -> list[float]:
        """Return the values of the minutes from `start` to before `end` that are visible."""
        last = min(end, now - self.late)
        return [self.values[m] for m in range(start, last) if m in self.values]


def metric_of(metric: Mapping[str, Any]) -> Metric:
    """Return a metric's name and what it is about: a function, an index or a cause."""
    dimensions = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
    for name in ("FunctionName", "GlobalSecondaryIndexName", "cause"):
        if name in dimensions:
            value = dimensions[name]
            return Metric(metric["MetricName"], value["Ref"] if isinstance(value, dict) else value)
    return Metric(metric["MetricName"])


class Alarm:
    """An alarm of a template: the properties of an `AWS::CloudWatch::Alarm`."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self.properties = properties
        own = {"Metric": properties, "Stat": properties.get("Statistic")}
        stats = properties.get("Metrics") or [{"Id": "value", "MetricStat": own}]
        self.stats = {s["Id"]: s["MetricStat"] for s in stats if "MetricStat" in s}
        self.expression = next((s["Expression"] for s in stats if "Expression" in s), "value")
        self._code = _compiled(self.expression)
        periods = {s["Period"] for s in self.stats.values() if "Period" in s}
        self.period = (periods or {properties["Period"]}).pop() // 60
        self.periods: int = properties["EvaluationPeriods"]
        self.needed: int = properties.get("DatapointsToAlarm", self.periods)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The watched metrics, by their names in the expression."""
        return {name: metric_of(stat["Metric"]) for name, stat in self.stats.items()}

    @property
    def unfilled(self) -> set[str]:
        """The names of an expression's metrics that are used without FILL."""
        if self.expression == "value":
            return set()
        rest = re.sub(r"FILL\((\w+), 0\)", "", self.expression)
        return {name for name in self.stats if re.search(rf"\b{name}\b", rest)}

    def value(self, series: Mapping[Metric, Series], start: int, now: int) -> float | None:
        """Return the data point of the period that begins at `start`, or None if it is missing."""
        counts: dict[str, float | None] = {}
        for name, metric in self.metrics.items():
            found = series.get(metric, Series({})).seen(start, start + self.period, now)
            counts[name] = _STATISTICS[self.stats[name]["Stat"]](found) if found else None
        # The expression is the project's own.
        result: float | None = eval(self._code, {**_FUNCTIONS, **counts})  # noqa: S307
        return result

    def fires(self, series: Mapping[Metric, Series], now: int) -> bool:
        """Return whether the alarm is in ALARM at the minute `now`."""
        compare = _COMPARE[self.properties["ComparisonOperator"]]
        missing = self.properties["TreatMissingData"] == "breaching"
        breaching = 0
        for n in range(1, self.periods + 1):
            value = self.value(series, now - n * self.period, now)
            breaches = missing if value is None else compare(value, self.properties["Threshold"])
            breaching += breaches
        return breaching >= self.needed
