"""The start-up text."""

import dataclasses
import math
from pathlib import Path

import click
import pytest

from localgateway.lambda_runtime.project import Project
from localgateway.options import Options
from localgateway.process_environment import with_dynamodb
from localgateway.startup import startup_text
from tests.localgateway.support import SAMPLE

ENGINE = "http://127.0.0.1:34011"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:News"
PYTHON = "/home/alice/projects/incident-websocket/.venv/bin/python"
SHELL = {"AWS_ACCESS_KEY_ID": "mine", "AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a path of usual length."""
    monkeypatch.setattr("sys.executable", PYTHON)


def text(
    *, shell: dict[str, str] | None = None, topics: tuple[str, ...] = (TOPIC,), **given: object
) -> str:
    """Return the text of the sample project, without colors."""
    options = dataclasses.replace(Options(SAMPLE), **given)  # type: ignore[arg-type]
    project = Project(options.project, "sample", "live", {}, {}, (), ())
    variables = with_dynamodb(shell or {}, ENGINE, options.dynamodb_endpoint)
    return click.unstyle(startup_text(project, options, "127.0.0.1:8765/live", variables, topics))


def test_it_fits_on_a_screen_of_24_lines_and_80_columns() -> None:
    """The commands are longer than a line, so their wrapped lines count."""
    lines = text().splitlines()

    assert sum(max(1, math.ceil(len(line) / 80)) for line in lines) <= 24


def test_it_shows_address_commands_log_and_how_to_stop() -> None:
    """Dummy credentials, endpoint and region are inline."""
    keys = "aws_access_key_id='local', aws_secret_access_key='local'"

    assert text().splitlines() == [
        "sample (stage dev) is running at ws://127.0.0.1:8765/live",
        "",
        f"  connect    {PYTHON} -m websockets ws://127.0.0.1:8765/live",
        f'  notify     {PYTHON} -c "import boto3; boto3.client('
        f"'sns', 'eu-west-1', endpoint_url='{ENGINE}', {keys})"
        f".publish(TopicArn='{TOPIC}', Message='Hello')\"",
        f'  table      {PYTHON} -c "import boto3; print(boto3.client('
        f"'dynamodb', 'us-east-1', endpoint_url='{ENGINE}', {keys})"
        ".scan(TableName='Things-dev')['Items'])\"",
        "",
        f"  DynamoDB   {ENGINE}",
        "  log        below, one JSON object per line (--log pretty shortens them)",
        "  options    python -m localgateway --help lists every option and address",
        "",
        "Press Ctrl+C to stop.",
    ]


def test_a_project_without_topics_and_tables_has_no_commands_for_them(tmp_path: Path) -> None:
    """Only commands that would work are printed."""
    shown = text(project=tmp_path, topics=())

    assert "notify" not in shown
    assert "table" not in shown


@pytest.mark.parametrize(("shell", "dummy"), [(SHELL, False), ({}, True)])
def test_another_dynamodb_is_read_with_the_shells_credentials(
    shell: dict[str, str], dummy: bool
) -> None:
    """Dummy credentials are for a shell without its own."""
    shown = text(shell=shell, topics=(), dynamodb_endpoint="http://127.0.0.1:8000")

    region = shell.get("AWS_REGION", "us-east-1")
    assert f"'dynamodb', '{region}', endpoint_url='http://127.0.0.1:8000'" in shown
    assert "  DynamoDB   http://127.0.0.1:8000" in shown
    assert ("aws_access_key_id='local'" in shown) is dummy


def test_a_path_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command can still be copied."""
    monkeypatch.setattr("sys.executable", "/home/a b/python")

    assert "  connect    '/home/a b/python' -m websockets" in text()
