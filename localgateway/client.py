"""Commands that talk to the running gateway: `python -m localgateway.client`.

They read its run file for the address, the credentials and the names.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import click

from localgateway import run_file
from localgateway.errors import GatewayError
from localgateway.faults_api import PATH, SERVICE
from localgateway.text_table import text_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.run_file import Run


# The faults of the embedded AWS; the others are the gateway's.
_OF_AWS = ("dynamodb_fail", "dynamodb_lag", "repeat_messages", "shuffle_messages")
# Times from 2001 to 2100, by their units in a second.
_TIMES = {1: (1e9, 4.1e9), 1000: (1e12, 4.1e12)}


@click.group(name="python -m localgateway.client")
@click.option("--port", type=int, help="Port of the gateway, if several run.")
@click.pass_context
def main(context: click.Context, port: int | None) -> None:
    """Talk to the running gateway."""
    try:
        context.obj = run_file.find(port)
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.pass_obj
def env(run: Run) -> None:
    """Print exports of its address, credentials and region, for eval "$(... env)"."""
    for name, value in run.variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if "AWS_ACCESS_KEY_ID" in run.variables:
        click.echo("unset AWS_PROFILE AWS_SESSION_TOKEN")
    if others := _of_another_aws(run):
        click.echo(f"unset {' '.join(others)}")


@main.command()
@click.pass_obj
def console(run: Run) -> None:
    """Print the address of the console, a page that shows what happens."""
    click.echo(run.console)


@main.command()
@click.option("--query", default="", help="Query string, e.g. clientId=ada.")
@click.pass_obj
def connect(run: Run, query: str) -> None:
    """Open a connection: type messages, read what comes, Ctrl+D closes."""
    url = run.url + (f"?{query}" if query else "")
    os.execv(sys.executable, [sys.executable, "-m", "websockets", url])  # noqa: S606 - no shell


@main.command()
@click.argument("message")
@click.option(
    "--attribute",
    "attributes",
    metavar="NAME=TEXT",
    multiple=True,
    help="Attribute of the message; may be repeated.",
)
@click.pass_obj
def notify(run: Run, message: str, attributes: tuple[str, ...]) -> None:
    """Publish a message to the first topic of the project."""
    if not run.topics:
        raise click.ClickException(f"{run.app} has no topic")
    pairs = [pair.partition("=") for pair in attributes]
    answer = _client(run, "sns", run.topics[0].split(":")[3]).publish(
        TopicArn=run.topics[0],
        Message=message,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, _, value in pairs
        },
    )
    click.echo(f"published {answer['MessageId']} to {run.topics[0].rpartition(':')[2]}")


@main.command()
@click.argument("name", required=False)
@click.pass_obj
def table(run: Run, name: str | None) -> None:
    """Show the rows of a table, by default of the first."""
    from boto3.dynamodb.types import TypeDeserializer

    if name is None and not run.tables:
        raise click.ClickException(f"{run.app} has no table")
    pages = (
        _client(run, "dynamodb")
        .get_paginator("scan")
        .paginate(TableName=name or run.tables[0], ConsistentRead=True)
    )
    plain = TypeDeserializer().deserialize
    rows = [
        {key: plain(value) for key, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]
    click.echo(text_table(rows) if rows else f"{name or run.tables[0]} is empty")


@main.command()
@click.argument("function")
@click.argument("payload", default="{}")
@click.pass_obj
def invoke(run: Run, function: str, payload: str) -> None:
    """Invoke a function with a JSON payload and show what it returns."""
    answer = _client(run, "lambda").invoke(
        FunctionName=run.functions.get(function, function), Payload=payload
    )
    result = json.loads(answer["Payload"].read() or "null")
    if "FunctionError" in answer:
        raise click.ClickException(f"{result.get('errorType')}: {result.get('errorMessage')}")
    click.echo(_shown(result))


@main.command()
@click.argument("changes", metavar="[NAME=VALUE]...", nargs=-1)
@click.pass_obj
def faults(run: Run, changes: tuple[str, ...]) -> None:
    """Show the faults, and change some: drop_posts=0.5 dynamodb_lag=200."""
    wanted: dict[str, float] = {}
    for change in changes:
        name, _, value = change.partition("=")
        try:
            wanted[name.replace("-", "_")] = float(value)
        except ValueError as error:
            raise click.ClickException(f"{change!r} is not NAME=NUMBER") from error
    # The embedded AWS has faults of its own; requests signed for its services reach it.
    for service, own in ((SERVICE, False), ("dynamodb", True)):
        part = {name: value for name, value in wanted.items() if (name in _OF_AWS) is own}
        for name, value in _send(run, service, PATH, part).items():
            click.echo(f"{name.replace('_', '-')}: {value:g}")


@main.command()
@click.option("--minutes", type=float, required=True, help="By how much.")
@click.pass_obj
def age(run: Run, minutes: float) -> None:
    """Make every row older: move all its times, in epoch s or ms, into the past.

    The rows of a table with a number in its key stay: the number may be a time.
    """
    client = _client(run, "dynamodb")
    rows = 0
    for table in (name for name in run.tables if not _has_number_in_key(client, name)):
        for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            for item in page["Items"]:
                client.put_item(TableName=table, Item=aged(item, minutes * 60))
                rows += 1
    click.echo(f"{rows} rows are {minutes:g} minutes older")


def _has_number_in_key(client: Any, table: str) -> bool:
    described = client.describe_table(TableName=table)["Table"]
    types = {
        each["AttributeName"]: each["AttributeType"] for each in described["AttributeDefinitions"]
    }
    return any(types[key["AttributeName"]] == "N" for key in described["KeySchema"])


def aged(item: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return a row whose numbers that are times of this century are so much earlier."""

    def earlier(value: Any) -> Any:
        number = float(value["N"]) if "N" in value else 0.0
        for unit, (low, high) in _TIMES.items():
            if low <= number < high:
                return {"N": str(round(number - seconds * unit))}
        return value

    return {name: earlier(value) for name, value in item.items()}


def _send(run: Run, service: str, path: str, body: Mapping[str, float]) -> Any:
    """POST JSON to the gateway, signed for a service; show an error as a message."""
    import urllib3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = run.variables["AWS_ENDPOINT_URL"] + path
    request = AWSRequest("POST", url, data=json.dumps(body))
    keys = Credentials(run.access_key, run.secret_key)
    SigV4Auth(keys, service, run.variables["AWS_REGION"]).add_auth(request)
    answer = urllib3.request("POST", url, body=request.data, headers=dict(request.headers))
    if answer.status != HTTPStatus.OK:
        raise click.ClickException(answer.json().get("message", str(answer.status)))
    return answer.json()


def _shown(result: Any) -> str:
    """Return a result for people: its scalars, then each list of objects as a table."""
    if not isinstance(result, dict):
        return json.dumps(result, indent=2)
    rest = {key: value for key, value in result.items() if not _is_rows(value)}
    lines = [
        f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in rest.items()
    ]
    tables = [f"{key}:\n{text_table(value)}" for key, value in result.items() if _is_rows(value)]
    return "\n".join([*lines, *tables])


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _client(run: Run, service: str, region: str | None = None) -> Any:
    import boto3
    from botocore.config import Config

    for name in _of_another_aws(run):
        del os.environ[name]
    os.environ.update(run.variables)
    return boto3.client(
        cast(Any, service), region_name=region, config=Config(retries={"total_max_attempts": 1})
    )


def _of_another_aws(run: Run) -> list[str]:
    """Return the shell's variables that would lead AWS clients elsewhere than to the run."""
    return [
        name
        for name in os.environ
        if name.startswith(("AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        and name not in run.variables
    ]


def entry() -> None:
    """Run the commands; an error of AWS ends them with its message."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        main()
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    entry()
