"""The start-up text."""

import dataclasses
import math

import click
import pytest

from localgateway.options import Options
from localgateway.run_file import Run
from localgateway.startup import startup_text
from tests.localgateway.support import SAMPLE

ENGINE = "http://127.0.0.1:34011"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:News"
PYTHON = "/home/alice/projects/incident-websocket/.venv/bin/python"
ROOT = SAMPLE.parents[2]
RUN = Run(
    pid=1,
    port=8765,
    project=str(SAMPLE),
    app="sample",
    stage="dev",
    url="ws://127.0.0.1:8765/live",
    access_key="LOCAL",
    secret_key="hidden",
    variables={"AWS_SECRET_ACCESS_KEY": "hidden"},
    functions={},
    topics=[TOPIC],
    tables=["Things-dev"],
    console="http://127.0.0.1:8765/@console/#TOKEN",
)


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a path of usual length."""
    monkeypatch.setattr("sys.executable", PYTHON)


def text(run: Run = RUN, **given: object) -> str:
    """Return the text of the sample project, without colors."""
    options = dataclasses.replace(Options(SAMPLE), **given)  # type: ignore[arg-type]
    return click.unstyle(startup_text(run, options, ENGINE))


def test_it_fits_on_a_screen_of_24_lines_and_80_columns() -> None:
    """The commands are longer than a line, so their wrapped lines count."""
    lines = text().splitlines()

    assert sum(max(1, math.ceil(len(line) / 80)) for line in lines) <= 24


def test_it_shows_address_commands_log_and_how_to_stop() -> None:
    """The commands name the port and read the credentials from the run's file."""
    client = f"PYTHONPATH={ROOT} {PYTHON} -m localgateway.client --port 8765"

    assert text().splitlines() == [
        "sample (stage dev) is running at ws://127.0.0.1:8765/live",
        "",
        "  console    http://127.0.0.1:8765/@console/#TOKEN",
        f"  connect    {PYTHON} -m websockets ws://127.0.0.1:8765/live",
        f"  notify     {client} notify Hello",
        f"  table      {client} table",
        f'  AWS CLI    eval "$({client} env)"',
        "",
        f"  DynamoDB   {ENGINE}",
        "  log        below, one JSON object per line (--log pretty shortens them)",
        "  options    python -m localgateway --help lists every option and address",
        "",
        "Press Ctrl+C to stop.",
    ]


def test_a_project_without_topics_and_tables_has_no_commands_for_them() -> None:
    """Only commands that would work are printed."""
    shown = text(dataclasses.replace(RUN, topics=[], tables=[]))

    assert "notify" not in shown
    assert "table" not in shown


def test_another_dynamodb_is_shown() -> None:
    """Its address replaces the embedded one's."""
    shown = text(dynamodb_endpoint="http://127.0.0.1:8000")

    assert "  DynamoDB   http://127.0.0.1:8000" in shown


def test_a_path_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command can still be copied."""
    monkeypatch.setattr("sys.executable", "/home/a b/python")

    assert "  connect    '/home/a b/python' -m websockets" in text()
