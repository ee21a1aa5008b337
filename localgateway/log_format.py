"""Log lines for a terminal: time, level, function, message and the fields that matter most."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FIELDS_SHOWN = 3
# The fields that explain a line best come first, the others follow in their own order.
_FIRST = ("error", "cause", "reason", "status", "code", "clientId", "connectionId")
_LEFT_OUT = frozenset(
    {"timestamp", "level", "message", "function", "requestId", "service", "stage", "_aws"}
)
_COLORS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class GatewayLine(logging.Formatter):
    """Formats the gateway's own records like the lines of functions."""

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created).astimezone()
        line = _line(at, record.levelname, "gateway", record.getMessage(), "")
        return line if self._color else click.unstyle(line)


def pretty(function: str, line: str, now: datetime) -> str:
    """Return a function's log line for people, on several lines if it has a traceback.

    Text that is not a JSON object with a `message`, or whose other fields cannot be shown, is shown
    as it is, with the time `now`.
    """
    try:
        return _record(function, json.loads(line), now)
    except Exception:  # noqa: BLE001 - functions print anything, and no line may end the log
        return _line(now, "", function, line, "")


def _record(function: str, record: Any, now: datetime) -> str:
    if not isinstance(record["message"], str):
        raise TypeError("the message is no text")
    at = _time(record.get("timestamp")) or now
    fields = list(_fields(record))
    short = [(name, value) for name, value in fields if "\n" not in str(value)][:_FIELDS_SHOWN]
    shown = "  ".join(f"{name}={_text(value)}" for name, value in short)
    texts = [value for _, value in fields if "\n" in str(value)]
    below = [f"    {_printable(each)}" for text in texts for each in str(text).splitlines()]
    first = _line(at, str(record.get("level", "")), function, record["message"], shown)
    return "\n".join([first, *below])


def _line(at: datetime, level: str, function: str, message: str, fields: str) -> str:
    clock = click.style(at.astimezone().strftime("%H:%M:%S.%f")[:-3], dim=True)
    shown_level = click.style(f"{_printable(level):<7}", fg=_COLORS.get(level))
    name = click.style(f"{function:<12}", fg="cyan")
    text = _printable(message)
    return " ".join(
        [clock, shown_level, name, text, *([click.style(fields, dim=True)] * bool(fields))]
    )


def _fields(record: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    metrics = set(_metrics(record.get("_aws")))
    nested = [value for value in record.values() if isinstance(value, dict)]
    for name in _FIRST:
        holder = next((each for each in (record, *nested) if each.get(name) is not None), None)
        if holder is not None:
            yield name, holder[name]
    for name, value in record.items():
        if name not in _LEFT_OUT | metrics | set(_FIRST) and isinstance(value, str | int | float):
            yield name, value


def _metrics(directives: object) -> Iterator[str]:
    # CloudWatch's embedded metric format repeats each metric as a field of the line.
    for directive in (
        directives.get("CloudWatchMetrics", ()) if isinstance(directives, dict) else ()
    ):
        for metric in directive.get("Metrics", ()):
            yield str(metric.get("Name"))


def _time(timestamp: object) -> datetime | None:
    try:
        return datetime.fromisoformat(timestamp)  # type: ignore[arg-type] # TypeError is caught
    except (ValueError, TypeError):
        return None


def _text(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and " " not in value:
        return value
    return json.dumps(value, default=str)


def _printable(text: str) -> str:
    # A client may choose parts of the text; its control characters must not reach the terminal.
    return "".join(
        each if each.isprintable() or each == "\t" else ascii(each)[1:-1] for each in text
    )
