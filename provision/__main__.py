"""The command line: make the tables and event buses of one stage."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision import buses, tables
from provision.errors import ProvisionError
from provision.template import load_buses, load_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@click.command(name="python -m provision")
@click.option("--stage", required=True, help="The stage to make them for.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template that defines them.",
)
@click.option("--endpoint-url", help="Another DynamoDB than AWS's; only the tables are made.")
@click.option("--region", help="The AWS region, if not the configured one.")
def main(stage: str, resources: Path, endpoint_url: str | None, region: str | None) -> None:
    """Make the tables and event buses that the resources file defines, and say what was done."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("provision").setLevel(logging.INFO)
    try:
        client = _client(endpoint_url, region)
        for definition in load_tables(resources, {"Stage": stage}):
            tables.ensure(client, definition)
        for name in [] if endpoint_url else load_buses(resources, {"Stage": stage}):
            buses.ensure(boto3.client("events", region_name=region), name)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error


def _client(endpoint_url: str | None, region: str | None) -> DynamoDBClient:
    try:
        return boto3.client("dynamodb", endpoint_url=endpoint_url, region_name=region)
    except ValueError as error:  # botocore's word for an address that it cannot use
        raise click.ClickException(f"{error}; accepted: http://host:port") from error


if __name__ == "__main__":
    main()
