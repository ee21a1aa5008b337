"""Structured logs: one JSON object a line, on standard output, from where Lambda takes them.

The lines are written without Python's `logging`, whose records, handlers and locks cost a warm
invocation more than the JSON does. A logging library would add 12 ms or more to a cold start,
because a deployment package contains no bytecode (docs/decisions.md has the figures).
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.telemetry import metrics

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

_encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode
_lowest = LEVELS["INFO"]


def set_level(level: str) -> None:
    """Drop lines below `level`, one of `LEVELS`, except for their metrics."""
    global _lowest
    _lowest = LEVELS[level]


@dataclass(frozen=True)
class Log:
    """A log whose lines all carry the fields of one invocation.

    Values that JSON cannot represent become strings.
    """

    fields: Mapping[str, object]

    def info(self, message: str, **fields: object) -> None:
        """Log a normal event."""
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Log a problem that does not affect the caller."""
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Log a failure."""
        self._write("ERROR", message, fields)

    def _write(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        if LEVELS[level] >= _lowest:
            written = {**self.fields, **fields}
        elif metrics.DIRECTIVE in fields:  # metrics are counted whatever the level is
            written = metrics.only(fields)
        else:
            return
        timestamp = datetime.now(UTC).isoformat("T", "milliseconds")
        text = _encode({"timestamp": timestamp, "level": level, "message": message, **written})
        if not text.isprintable():
            text = "".join(map(_printable, text))
        sys.stdout.write(f"{text}\n")  # one call, so that the lines of threads do not mix
        sys.stdout.flush()


def invocation_log(context: object, **fields: object) -> Log:
    """Create the log of one invocation, with the function name and request id of the context."""
    return Log(
        {
            "function": getattr(context, "function_name", None),
            "requestId": getattr(context, "aws_request_id", None),
            **fields,
        }
    )


def _printable(character: str) -> str:
    """Escape line breaks of Unicode, controls, and halves of surrogate pairs, which UTF-8 lacks."""
    return character if character.isprintable() else json.dumps(character)[1:-1]
