"""Log lines for a terminal."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgateway.log_format import GatewayLine, pretty

NOW = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
CLOCK = NOW.astimezone().strftime("%H:%M:%S.123")
LINE = {
    "timestamp": "2026-11-25T12:00:00.123+00:00",
    "level": "INFO",
    "message": "connected",
    "function": "app-dev-websocket_connect",
    "requestId": "1ca4cacc",
}
METRICS = {"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "Opened"}]}]}, "Opened": 1}


def shown(line: object) -> str:
    """Return a line without colors and without the part that is always the same."""
    text = line if isinstance(line, str) else json.dumps(line)
    plain = click.unstyle(pretty("connect", text, NOW))
    assert plain.startswith(CLOCK)
    return plain.removeprefix(CLOCK)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE, " INFO    connect      connected"),
        ({**LINE, "level": "ERROR", "code": 1006}, " ERROR   connect      connected code=1006"),
        (
            {**LINE, "row": {"clientId": "alice", "connectionId": "L0SM="}, **METRICS},
            " INFO    connect      connected clientId=alice  connectionId=L0SM=",
        ),
        (
            {**LINE, "a": 1, "b": 2, "reason": "Going away", "clientId": "x", "c": 3},
            ' INFO    connect      connected reason="Going away"  clientId=x  a=1',
        ),
        (
            {**LINE, "trace": "Traceback\n  line"},
            " INFO    connect      connected\n    Traceback\n      line",
        ),
        ({**LINE, "timestamp": None, "level": 5}, " 5       connect      connected"),
        ({**LINE, "timestamp": "yesterday"}, " INFO    connect      connected"),
        ({"no": "message"}, '         connect      {"no": "message"}'),
        ("plain text", "         connect      plain text"),
        ("[" * 100_000, "         connect      " + "[" * 100_000),
        ({**LINE, "message": "a\x1b[2Jb"}, " INFO    connect      a\\x1b[2Jb"),
        ({**LINE, "clientId": "\x1b[2J"}, ' INFO    connect      connected clientId="\\u001b[2J"'),
        ("\x1b[2J\tü", "         connect      \\x1b[2J\tü"),
        *(
            (odd, f"         connect      {odd}")
            for odd in (
                '{"message":"x","timestamp":"0001-01-01T00:00:00"}',
                '{"message":"x","timestamp":"9999-12-31T23:59:59-12:00"}',
                '{"message":"x","_aws":{"CloudWatchMetrics":5}}',
                '{"message":"x","_aws":{"CloudWatchMetrics":["a"]}}',
                '{"message":"x","_aws":{"CloudWatchMetrics":[{"Metrics":[1]}]}}',
            )
        ),
    ],
)
def test_a_line_shows_what_matters(line: object, expected: str) -> None:
    """Control characters from a client never reach the terminal; an odd line is shown as it is."""
    assert shown(line) == expected


VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["Metrics", "Name"]), each),
)


@given(
    VALUES, st.recursive(VALUES, lambda each: st.fixed_dictionaries({"CloudWatchMetrics": each}))
)
def test_no_line_fails(timestamp: object, metrics: object) -> None:
    """Whatever a function prints."""
    line = json.dumps({**LINE, "timestamp": timestamp, "_aws": metrics})

    assert "connected" in pretty("connect", line, NOW)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_any_object_is_shown(fields: dict[str, Any]) -> None:
    """No field's value makes the formatting fail."""
    assert "connected" in shown({**LINE, **fields, "message": "connected", "timestamp": None})


@pytest.mark.parametrize("color", [True, False])
def test_the_gateways_own_records_look_the_same(color: bool) -> None:
    """Time, level, name and message, with colors only if they are wanted."""
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "handshake %s", ("refused",), None)

    line = GatewayLine(color=color).format(record)

    assert click.unstyle(line).endswith(" WARNING gateway      handshake refused")
    assert ("\x1b[" in line) is color
