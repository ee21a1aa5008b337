"""Writes log lines to a terminal or file, which may be slow or stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import click

from localgateway.log_format import pretty

if TYPE_CHECKING:
    from collections.abc import Iterator

# In bytes; lines beyond it, while the terminal does not read, are left out and counted.
WAITING_LIMIT = 16 * 1024 * 1024
# In seconds, between the batches of a log that nobody watches.
PAUSE = 0.05
# In seconds, for the last lines when the gateway stops.
STOP_TIMEOUT = 5.0


class TerminalLog:
    """Formats lines and writes them in a thread of its own, so that no function waits for it.

    Lines keep their order and are written whole. Up to `limit` bytes of them wait for the
    terminal; once it reads again, a line reports how many were left out. With `plain`, lines are
    written as they are, in batches, and those of `write_output` to another stream, `output`.
    """

    def __init__(
        self,
        stream: TextIO,
        limit: int = WAITING_LIMIT,
        *,
        plain: bool = False,
        output: TextIO | None = None,
    ) -> None:
        self._stream = stream
        self._output = output or stream
        self._plain = plain
        self._limit = limit
        self._color = color_wanted(stream)
        self._waiting: deque[tuple[TextIO, str, bytes]] = deque()
        self._size = 0
        self._left_out = 0
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="terminal log", daemon=True)

    def write(self, function: str, line: bytes) -> None:
        """Accept a line for the terminal without waiting; the thread adds time and color."""
        self._accept(self._stream, function, line)

    def write_output(self, function: str, line: bytes) -> None:
        """Accept a line for the other stream without waiting."""
        self._accept(self._output, function, line)

    def _accept(self, stream: TextIO, function: str, line: bytes) -> None:
        with self._changed:
            if self._size + len(line) > self._limit:
                self._left_out += 1
                return
            if not self._waiting:
                self._changed.notify()
            self._waiting.append((stream, function, line))
            self._size += len(line)

    @contextlib.contextmanager
    def running(self) -> Iterator[TerminalLog]:
        """Write lines within the block; wait `STOP_TIMEOUT` seconds for the last ones."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            with self._changed:
                self._changed.notify()
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            while (batch := self._next()) is not None:
                lines, left_out = batch
                for stream in {self._stream, self._output} if self._plain else ():
                    texts = [line.decode(errors="replace") for to, _, line in lines if to is stream]
                    if texts:
                        _echo("\n".join(texts), stream, None)
                for _, function, line in () if self._plain else lines:
                    text = pretty(function, line.decode(errors="replace"), datetime.now(UTC))
                    _echo(text, self._stream, self._color)
                if left_out:
                    text = f"... {left_out} log lines left out: the terminal reads too slowly"
                    _echo(text, self._stream, self._color)

    def _next(self) -> tuple[list[tuple[TextIO, str, bytes]], int] | None:
        if self._plain:
            self._stopped.wait(PAUSE)
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped.is_set())
            if not self._waiting:
                return None
            lines, left_out = list(self._waiting), self._left_out
            self._waiting.clear()
            self._size = self._left_out = 0
            return lines, left_out


class TerminalHandler(logging.Handler):
    """Hands log records to a `TerminalLog`, so that the code that logs never waits."""

    def __init__(self, log: TerminalLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Accept a record."""
        self._log.write("gateway", self.format(record).encode(errors="replace"))


def _echo(text: str, stream: TextIO, color: bool | None) -> None:
    try:
        click.echo(text, file=stream, color=color)
    except UnicodeError:  # the terminal has fewer characters
        shown = text.encode("ascii", "backslashreplace").decode()
        click.echo(shown, file=stream, color=color)


def color_wanted(stream: TextIO) -> bool:
    """Return whether to write colors: to a terminal, unless `NO_COLOR` is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
