"""The command line that creates the tables, event buses, topics and queues of one stage."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision import buses, function_rights, queues, tables, topics
from provision.errors import ProvisionError, UnsupportedError
from provision.session import region_of
from provision.template import (
    load_buses,
    load_queues,
    load_tables,
    load_topic_policies,
    load_topics,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient


@click.command(name="python -m provision")
@click.option("--stage", required=True, help="The stage to create them for.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template that defines them.",
)
@click.option(
    "--endpoint-url",
    help="Create only the tables, in the DynamoDB at this address (e.g. DynamoDB Local).",
)
@click.option("--region", help="The AWS region. The default is the configured one.")
@click.option(
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template, such as EventBridgeMayPublish=yes. May be repeated.",
)
def main(
    stage: str,
    resources: Path,
    endpoint_url: str | None,
    region: str | None,
    given: tuple[str, ...],
) -> None:
    """Create tables, event buses, topics and queues of the resources file unless they exist."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("provision").setLevel(logging.INFO)
    chosen = dict(_parameter(text) for text in given)
    parameters = {"Stage": stage, **chosen}
    region = region_of(region)
    config = resources.parent / "config.json"
    try:
        if config.exists():
            function_rights.check(config, stage)
        _check_declared(resources, chosen)
        client = _client(endpoint_url, region)
        for definition in load_tables(resources, parameters):
            tables.ensure(client, definition)
        if not endpoint_url:
            _ensure_buses(resources, parameters, region)
            _ensure_topics(resources, parameters, region)
            sqs = boto3.client("sqs", region_name=region)
            queues.ensure_all(sqs, load_queues(resources, parameters))
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error


def _parameter(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise click.ClickException(f"--parameter is {text!r}; expected NAME=VALUE")
    return name, value


def _check_declared(resources: Path, chosen: Collection[str]) -> None:
    declared = read(resources).get("Parameters", {})
    for name in chosen:
        if name not in declared:
            raise UnsupportedError("parameter", name, declared)


def _client(endpoint_url: str | None, region: str | None) -> DynamoDBClient:
    try:
        return boto3.client("dynamodb", endpoint_url=endpoint_url, region_name=region)
    except ValueError as error:  # botocore raises it for an address that it cannot use
        raise click.ClickException(f"{error}; expected http://HOST:PORT") from error


def _ensure_buses(resources: Path, parameters: Mapping[str, str], region: str | None) -> None:
    client = boto3.client("events", region_name=region)
    for name in load_buses(resources, parameters):
        buses.ensure(client, name)


def _ensure_topics(resources: Path, parameters: Mapping[str, str], region: str | None) -> None:
    client = boto3.client("sns", region_name=region)
    arns = {
        logical_id: topics.ensure(client, name)
        for logical_id, name in load_topics(resources, parameters).items()
    }
    if not arns:
        return
    account = topics.account_of(next(iter(arns.values())))
    for policy in load_topic_policies(resources, {**parameters, **arns, "AWS::AccountId": account}):
        for arn in policy.topics:
            topics.set_policy(client, arn, policy.document)


if __name__ == "__main__":
    main()
