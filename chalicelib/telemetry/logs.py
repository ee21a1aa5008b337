"""Structured logs: one JSON object a line, on standard output.

The standard library's `logging` with a formatter of our own: a deployment package contains no
bytecode, and compiling a logging library would add 12 ms or more to a cold start
(docs/decisions.md has the figures).
"""

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from chalicelib.telemetry import metrics

LOGGER_NAME = "incident-websocket"


class JsonLine(logging.Formatter):
    """Formats a record as one line of JSON: time, level, message, then the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON line. Values that JSON cannot represent become strings."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        text = _encode(line)
        return text if text.isprintable() else "".join(map(_printable, text))


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def _printable(character: str) -> str:
    """Escape line breaks of Unicode, controls, and halves of surrogate pairs, which UTF-8 lacks."""
    return character if character.isprintable() else json.dumps(character)[1:-1]


class StandardOutput(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stdout` of each line, so that tests can capture it."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to the current `sys.stdout`."""
        self.stream = sys.stdout
        super().emit(record)


def _configured(logger: logging.Logger) -> logging.Logger:
    handler = StandardOutput()
    handler.setFormatter(JsonLine())
    logger.handlers = [handler]
    logger.propagate = False  # the Lambda runtime's root handler would print every line again
    logger.setLevel(logging.INFO)
    return logger


_logger = _configured(logging.getLogger(LOGGER_NAME))


def set_level(level: str) -> None:
    """Drop lines below `level`, one of `settings.LOG_LEVELS`, except for their metrics.

    Setting a level clears the level cache of every logger in the process, botocore's included,
    so an unchanged level is left alone.
    """
    if logging.getLevelName(_logger.level) != level:
        _logger.setLevel(level)


@dataclass(frozen=True)
class Log:
    """A log whose lines all carry the fields of one invocation."""

    fields: Mapping[str, object]

    def info(self, message: str, **fields: object) -> None:
        """Log a normal event."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Log a problem that does not affect the caller."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Log a failure."""
        self._write(logging.ERROR, message, fields)

    def _write(self, level: int, message: str, fields: Mapping[str, object]) -> None:
        if _logger.isEnabledFor(level):
            written = {**self.fields, **fields}
        elif metrics.DIRECTIVE in fields:  # metrics are counted whatever the level is
            written = metrics.only(fields)
        else:
            return
        record = logging.LogRecord(LOGGER_NAME, level, "", 0, message, None, None)
        record.fields = written
        _logger.handle(record)


def invocation_log(context: object, **fields: object) -> Log:
    """Create the log of one invocation, with the function name and request id of the context."""
    return Log(
        {
            "function": getattr(context, "function_name", None),
            "requestId": getattr(context, "aws_request_id", None),
            **fields,
        }
    )
