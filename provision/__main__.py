"""The command line: make the tables of one stage."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import ProvisionError
from provision.tables import ensure
from provision.template import load_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@click.command(name="python -m provision")
@click.option("--stage", required=True, help="The stage whose tables to make.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template that defines the tables.",
)
@click.option("--endpoint-url", help="Another DynamoDB than AWS's.")
@click.option("--region", help="The AWS region, if not the configured one.")
def main(stage: str, resources: Path, endpoint_url: str | None, region: str | None) -> None:
    """Make the DynamoDB tables that the resources file defines, and say what was done."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("provision").setLevel(logging.INFO)
    try:
        client = _client(endpoint_url, region)
        for definition in load_tables(resources, {"Stage": stage}):
            ensure(client, definition)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error


def _client(endpoint_url: str | None, region: str | None) -> DynamoDBClient:
    try:
        return boto3.client("dynamodb", endpoint_url=endpoint_url, region_name=region)
    except ValueError as error:  # botocore's word for an address that it cannot use
        raise click.ClickException(f"{error}; accepted: http://host:port") from error


if __name__ == "__main__":
    main()
