"""The access log: a line for each handshake, message, close and invocation."""

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from localgateway.access_log import note, written_to
from tests.localgateway.support import PATIENCE, Gateway, Recorder, ask, refused, running

CONNECT = "sample-dev-websocket_connect"


class Lines:
    """The lines that a gateway in this process writes."""

    def __init__(self) -> None:
        self._new: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def __call__(self, by: str, line: bytes) -> None:
        """Receive a line."""
        self._new.put((by, json.loads(line)))

    def next(self, message: str, **wanted: str) -> dict[str, Any]:
        """Return the next line with a message and the wanted fields.

        Schedules run beside a test, too.
        """
        wanted["message"] = message
        while True:
            by, line = self._new.get(timeout=PATIENCE)
            if wanted.items() <= line.items():
                return {"by": by, **line}


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    with written_to(lines):
        yield lines


def test_each_step_of_a_connection_leaves_a_line(gateway: Gateway, lines: Lines) -> None:
    """With route, connection, function, status and time."""
    with gateway.opened() as (client, connection_id):
        invoked = lines.next("invoked", function=CONNECT)
        opened = lines.next("opened", connectionId=connection_id)
        ask(client, do="echo", text="hello")
        message = lines.next("message $default", connectionId=connection_id)
        client.close(4001, "bye")
    closed = lines.next("closed", connectionId=connection_id)

    for line in (invoked, opened, message):
        assert line.pop("ms") >= 0
        assert line.pop("timestamp").endswith("+00:00")
        assert line.pop("level") == "INFO"
    assert invoked == {"by": CONNECT, "message": "invoked", "status": "ok", "function": CONNECT}
    shared = {"by": "gateway", "connectionId": connection_id}
    assert opened == shared | {
        "message": "opened",
        "status": 101,
        "route": "$connect",
        "function": CONNECT,
    }
    assert message == shared | {
        "message": "message $default",
        "status": "ok",
        "route": "$default",
        "function": "sample-dev-websocket_message",
    }
    assert (closed["code"], closed["reason"], closed["route"]) == (4001, "bye", "$disconnect")
    assert closed["seconds"] >= 0


def test_a_refusal_and_a_failure_leave_a_line(gateway: Gateway, lines: Lines) -> None:
    """The cause of a refusal, and how an invocation ended."""
    refused(gateway, "?raise=yes")
    failed = lines.next("invoked", function=CONNECT)
    refusal = lines.next("handshake refused")

    assert failed["status"] == "error"
    assert (refusal["status"], refusal["level"]) == (502, "WARNING")
    assert "refused by an exception" in refusal["cause"]


@pytest.mark.proof
def test_lines_are_json_on_standard_error(
    sample: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is written by the time the gateway has stopped."""
    with running(sample, recorder) as gateway, gateway.client():
        pass

    written = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "{" in line]
    assert {"opened", "closed", "invoked"} <= {line["message"] for line in written}


@pytest.mark.proof
def test_lines_in_a_terminal_are_for_people(
    sample: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among the lines of functions: the function's short name or the gateway's, and the time."""
    with running(sample, recorder, log="pretty") as gateway, gateway.client():
        pass

    text = click.unstyle(capsys.readouterr().out)
    assert "INFO    connect      invoked status=ok  ms=" in text
    assert "INFO    gateway      opened status=101  connectionId=" in text


def test_a_field_that_is_none_is_left_out(lines: Lines) -> None:
    """JSON has no null for what does not apply."""
    note("told", status=None, code=1)

    line = lines.next("told")
    assert line["code"] == 1
    assert "status" not in line
