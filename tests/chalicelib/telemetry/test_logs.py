"""The log lines."""

import json
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.telemetry import logs
from chalicelib.telemetry.logs import Log

LOG = Log({"function": "connect", "requestId": "1", "connectionId": "L0SM9cOFvHcCIhw="})


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_a_line_is_one_json_object(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the time, the level, the message, the invocation's fields and the line's own."""
    getattr(LOG, level)("what happened", code=1000, row={"ttl": 1})

    [text] = capsys.readouterr().out.splitlines()
    line = json.loads(text)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "level": level.upper(),
        "message": "what happened",
        "function": "connect",
        "requestId": "1",
        "connectionId": "L0SM9cOFvHcCIhw=",
        "code": 1000,
        "row": {"ttl": 1},
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_no_text_can_break_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A close reason that a client chose, with its line breaks and quotes, stays one field."""
    LOG.info("disconnected", reason=text)

    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert json.loads(output)["reason"] == text


def test_a_value_unknown_to_json_is_logged_as_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A log line never fails an invocation."""
    LOG.info("odd", value={1}.__class__)

    assert json.loads(capsys.readouterr().out)["value"] == "<class 'set'>"


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The level holds until it is set again."""
    logs.set_level("ERROR")
    LOG.warning("unheard")
    logs.set_level("INFO")
    LOG.info("heard")

    [text] = capsys.readouterr().out.splitlines()
    assert json.loads(text)["message"] == "heard"
