"""The access log: a line for each handshake, message, close and invocation."""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GATEWAY = "gateway"

_log = logging.getLogger("localgateway.access")
_log.propagate = False


def note(message: str, *, by: str = GATEWAY, level: int = logging.INFO, **fields: object) -> None:
    """Write a line with these fields, except those that are None; `by` is a function's name."""
    if _log.isEnabledFor(level):
        _log.log(level, message, extra={"by": by, "fields": fields})


def milliseconds(seconds: float) -> float:
    """Return a time in s in ms, with one decimal."""
    return round(seconds * 1000, 1)


@contextlib.contextmanager
def written_to(sink: Callable[[str, bytes], None]) -> Iterator[None]:
    """Pass each line to `sink` within the block, with the name of the function or `GATEWAY`."""
    handler = _Handler(sink)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, sink: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            name: value for name, value in vars(record)["fields"].items() if value is not None
        }
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            **fields,
        }
        self._sink(vars(record)["by"], json.dumps(line).encode())
