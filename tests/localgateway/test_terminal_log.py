"""Lines on their way to a terminal that is fast, slow or gone."""

import io
import threading

import click
import pytest

from localgateway.terminal_log import TerminalLog, color_wanted
from tests.localgateway.support import PATIENCE


class Terminal(io.StringIO):
    """A terminal that reads only once `reads` is set; `blocked` is set while text waits."""

    def __init__(self, *, reads: bool = True) -> None:
        super().__init__()
        self.blocked = threading.Event()
        self.reads = threading.Event()
        if reads:
            self.reads.set()

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True

    def write(self, text: str) -> int:
        """Write once the terminal reads."""
        self.blocked.set()
        assert self.reads.wait(PATIENCE)
        return super().write(text)


def messages(terminal: Terminal) -> list[str]:
    """Return the last word of each line."""
    return [line.split()[-1] for line in click.unstyle(terminal.getvalue()).splitlines()]


def test_lines_arrive_whole_and_in_order() -> None:
    """The log writes every line that it has taken before it stops."""
    terminal = Terminal()

    with TerminalLog(terminal).running() as log:
        for number in range(1000):
            log.write("connect", f"line-{number}".encode())

    assert messages(terminal) == [f"line-{number}" for number in range(1000)]


def test_a_slow_terminal_never_blocks_a_function_and_loses_only_what_exceeds_the_limit() -> None:
    """Lines up to the limit wait; the others are counted."""
    terminal = Terminal(reads=False)

    with TerminalLog(terminal, limit=50).running() as log:
        log.write("connect", b"first")
        assert terminal.blocked.wait(PATIENCE)
        for _ in range(8):
            log.write("connect", b"0123456789")
        terminal.reads.set()

    text = click.unstyle(terminal.getvalue())
    assert messages(terminal)[:6] == ["first"] + ["0123456789"] * 5
    assert "... 3 log lines left out: the terminal reads too slowly" in text


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    """Lines that nobody can read are dropped, without an unhandled exception in the thread."""

    class Closed(Terminal):
        def write(self, text: str) -> int:
            super().write(text)
            raise BrokenPipeError

    terminal = Closed()

    with TerminalLog(terminal).running() as log:
        log.write("connect", b"lost")
        assert terminal.blocked.wait(PATIENCE)
        log.write("connect", b"lost-as-well")

    assert messages(terminal) == ["lost"]


@pytest.mark.parametrize("plain", [False, True])
def test_one_line_never_ends_the_log(plain: bool) -> None:
    """Neither what cannot be formatted nor a character that the terminal does not have."""
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding="ascii")
    lines = ('{"message":"x","timestamp":"0001-01-01T00:00:00"}', "\ud55c", "last")

    with TerminalLog(terminal, plain=plain).running() as log:
        for line in lines:
            log.write("connect", line.encode())
    terminal.flush()

    shown = [line.split()[-1] for line in written.getvalue().decode().splitlines()]
    assert shown == [lines[0], r"\ud55c", "last"]


@pytest.mark.parametrize(
    ("no_color", "terminal", "wanted"),
    [("", True, True), (None, True, True), ("1", True, False), (None, False, False)],
)
def test_colors_are_for_terminals_without_no_color(
    monkeypatch: pytest.MonkeyPatch, no_color: str | None, terminal: bool, wanted: bool
) -> None:
    """https://no-color.org: the variable counts unless it is empty."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)

    assert color_wanted(Terminal() if terminal else io.StringIO()) is wanted


def test_plain_lines_go_to_two_streams() -> None:
    """As they are, each stream in order; how many were left out goes to the first."""
    first, other = io.StringIO(), io.StringIO()
    with TerminalLog(first, 20, plain=True, output=other).running() as log:
        log.write("connect", b"one")
        log.write_output("connect", b"two")
        log.write("connect", b"three")
        log.write_output("connect", b"four")
        log.write("connect", b"x" * 20)

    assert first.getvalue() == (
        "one\nthree\n... 1 log lines left out: the terminal reads too slowly\n"
    )
    assert other.getvalue() == "two\nfour\n"
