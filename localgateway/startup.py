"""The text that the gateway prints once it serves."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from localgateway.process_environment import DUMMY_KEY
from provision.template import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from localgateway.lambda_runtime.project import Project
    from localgateway.options import Options

_LOG = {
    "json": "below, one JSON object per line (--log pretty shortens them)",
    "pretty": "below (--log json shows every field)",
}


def startup_text(
    project: Project,
    options: Options,
    address: str,
    variables: Mapping[str, str],
    topics: Sequence[str],
) -> str:
    """Return the address, one command each to connect, notify and read the table, and how to stop.

    `variables` is the environment of a process that uses the tables; `topics` are ARNs. The
    commands run in any shell and folder: they need no AWS command line and no variables.
    """
    url = f"ws://{address}"
    dynamodb = options.dynamodb_endpoint or variables["AWS_ENDPOINT_URL"]
    lines = [
        f"{project.app} (stage {options.stage}) is running at {click.style(url, bold=True)}",
        "",
        _entry("connect", f"{_python()} -m websockets {url}"),
        *_notify(topics, variables["AWS_ENDPOINT_URL"]),
        *_table(options, dynamodb, variables),
        "",
        _entry("DynamoDB", dynamodb),
        _entry("log", _LOG[options.log]),
        _entry("options", "python -m localgateway --help lists every option and address"),
        "",
        "Press Ctrl+C to stop.",
    ]
    return "\n".join(lines)


def _entry(label: str, text: str) -> str:
    return f"  {click.style(f'{label:<10}', fg='cyan')} {text}"


def _python() -> str:
    return shlex.quote(sys.executable)


def _notify(topics: Sequence[str], engine_url: str) -> Iterator[str]:
    for arn in topics[:1]:
        client = _client("sns", arn.split(":")[3], engine_url, dummy_keys=True)
        yield _entry("notify", _boto3(f"{client}.publish(TopicArn='{arn}', Message='Hello')"))


def _table(options: Options, dynamodb: str, variables: Mapping[str, str]) -> Iterator[str]:
    resources = options.project / ".chalice" / "resources.json"
    tables = load_tables(resources, {"Stage": options.stage}) if resources.exists() else []
    dummy_keys = variables.get("AWS_ACCESS_KEY_ID") == DUMMY_KEY
    client = _client("dynamodb", variables["AWS_REGION"], dynamodb, dummy_keys=dummy_keys)
    for table in tables[:1]:
        yield _entry("table", _boto3(f"print({client}.scan(TableName='{table.name}')['Items'])"))


def _client(service: str, region: str, endpoint: str, *, dummy_keys: bool) -> str:
    keys = f"aws_access_key_id='{DUMMY_KEY}', aws_secret_access_key='{DUMMY_KEY}'"
    credentials = f", {keys}" if dummy_keys else ""
    return f"boto3.client('{service}', '{region}', endpoint_url='{endpoint}'{credentials})"


def _boto3(expression: str) -> str:
    return f'{_python()} -c "import boto3; {expression}"'
