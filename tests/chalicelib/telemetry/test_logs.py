import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.telemetry import logs, metrics
from chalicelib.telemetry.logs import Log, invocation_log
from chalicelib.telemetry.metrics import Metric
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]
LOG = Log({"function": "connect", "requestId": "1", "connectionId": "L0SM9cOFvHcCIhw="})


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_a_line_has_time_level_message_and_the_fields_of_invocation_and_line(
    level: str, logged: Logged
) -> None:
    getattr(LOG, level)("what happened", code=1000, row={"ttl": 1})

    [line] = logged()
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


def test_an_invocation_is_identified_by_its_context(logged: Logged) -> None:
    invocation_log(Context(function_name="f", aws_request_id="r"), connectionId="c=").info("x")

    [line] = logged()
    assert (line["function"], line["requestId"], line["connectionId"]) == ("f", "r", "c=")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_no_text_can_break_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A client chooses the close reason, with line breaks and quotes."""
    LOG.info("disconnected", reason=text)

    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert json.loads(output)["reason"] == text


def test_a_value_unknown_to_json_is_logged_as_text(logged: Logged) -> None:
    LOG.info("odd", value=set)

    assert logged()[0]["value"] == "<class 'set'>"


def test_lines_below_the_level_are_dropped_until_it_is_set_again(logged: Logged) -> None:
    logs.set_level("ERROR")
    LOG.warning("dropped")
    logs.set_level("INFO")
    LOG.info("logged")

    assert [line["message"] for line in logged()] == ["logged"]


@pytest.mark.parametrize("level", ["WARNING", "ERROR", "CRITICAL"])
def test_the_metrics_of_a_dropped_line_are_written(level: str, logged: Logged) -> None:
    """Without its other fields: the level was raised because logs cost too much."""
    counted = metrics.fields("dev", {Metric.CLOSED: 1, Metric.DURATION: 2.5}, "kicked")
    logs.set_level(level)
    try:
        LOG.info("disconnected", clientId="alice", row={"ttl": 1}, **counted)
        LOG.info("without metrics")
    finally:
        logs.set_level("INFO")

    [line] = logged()
    assert line.keys() - {"timestamp"} == {"level", "message", *counted}
    assert {name: line[name] for name in counted} == counted


@pytest.mark.parametrize("text", ["\uac00\ub098\ub2e4", "Zo\u00eb", "\U0001f680"])
def test_text_in_other_scripts_is_readable(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("disconnected", reason=text)

    assert f'"reason":"{text}"' in capsys.readouterr().out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None)))
@example(text="\ud800")
@example(text="a\u2028b\u0085c\x7f\u202e")
def test_any_string_is_one_line_of_utf_8(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Halves of surrogate pairs, line breaks of Unicode and marks that reverse text are escaped."""
    LOG.info("disconnected", reason=text)

    output = capsys.readouterr().out
    assert output.encode().decode() == output
    assert len(output.splitlines()) == 1
    assert json.loads(output)["reason"] == text
