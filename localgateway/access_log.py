"""The access log: a line for each handshake, message, close and invocation.

Python's `logging` would cost several times what the line does, for each event.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GATEWAY = "gateway"

_sinks: list[Callable[[str, bytes], None]] = []


def note(message: str, *, by: str = GATEWAY, level: str = "INFO", **fields: object) -> None:
    """Write a line with these fields, except those that are None; `by` is a function's name."""
    if not _sinks:
        return
    line = {"timestamp": _timestamp(time.time()), "level": level, "message": message}
    line |= {name: value for name, value in fields.items() if value is not None}  # type: ignore[misc]
    encoded = json.dumps(line).encode()
    for sink in _sinks:
        sink(by, encoded)


def milliseconds(seconds: float) -> float:
    """Return a time in s in ms, with one decimal."""
    return round(seconds * 1000, 1)


@contextlib.contextmanager
def written_to(sink: Callable[[str, bytes], None]) -> Iterator[None]:
    """Pass each line to `sink` within the block, with the name of the function or `GATEWAY`."""
    _sinks.append(sink)
    try:
        yield
    finally:
        _sinks.remove(sink)


def _timestamp(moment: float) -> str:
    second = int(moment)
    return f"{_second(second)}.{int((moment - second) * 1000):03d}+00:00"


@functools.lru_cache(maxsize=1)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")
