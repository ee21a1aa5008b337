"""Creates what a resources file defines: `python -m localgateway.resources.creation FILE STAGE`.

It prints one line of JSON: the names of the tables, or an error. It runs in a process of its own
because it imports boto3, which would stay in the gateway's memory.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localgateway.errors import ResourcesError
from localgateway.resources.template import read_resources

if TYPE_CHECKING:
    from localgateway.resources.template import Resources, Table

# A DynamoDB that does not answer must not hold the start up for minutes.
_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
_ACCOUNT = "123456789012"


def main() -> None:
    """Create the resources that do not exist yet."""
    path, stage = sys.argv[1:]
    region = os.environ["AWS_REGION"]
    parameters = {
        "Stage": stage,
        "AWS::Region": region,
        "AWS::AccountId": _ACCOUNT,
        "AWS::Partition": boto3.session.Session().get_partition_for_region(region),
    }
    try:
        resources = read_resources(Path(path), parameters)
        create(resources)
        answer: dict[str, Any] = {"tables": [table.name for table in resources.tables]}
    except ResourcesError as error:
        answer = {"error": str(error)}
    click.echo(json.dumps(answer))


def create(resources: Resources) -> None:
    """Create the tables, buses and topics unless they exist; raise `ResourcesError` if refused."""
    dynamodb = boto3.client("dynamodb", config=_CONFIG)
    for table in resources.tables:
        _attempt(f"table {table.name}", _create_table, dynamodb, table)
    events = boto3.client("events", config=_CONFIG)
    for bus in resources.buses:
        _attempt(f"event bus {bus}", _create_bus, events, bus)
    sns = boto3.client("sns", config=_CONFIG)
    for topic, attributes in resources.topics.items():
        _attempt(f"topic {topic}", sns.create_topic, Name=topic, Attributes=attributes)


def _attempt(resource: str, create: Any, *arguments: Any, **options: Any) -> None:
    try:
        create(*arguments, **options)
    except (BotoCoreError, ClientError) as error:
        # Invalid parameters have a message of several lines.
        text = "; ".join(line for line in str(error).splitlines() if line)
        raise ResourcesError(f"cannot create {resource}: {text}") from error


def _create_table(client: Any, table: Table) -> None:
    try:
        client.create_table(**table.create)
    except client.exceptions.ResourceInUseException:
        return
    client.get_waiter("table_exists").wait(
        TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    if table.ttl_attribute is not None:
        client.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"AttributeName": table.ttl_attribute, "Enabled": True},
        )


def _create_bus(client: Any, name: str) -> None:
    try:
        client.create_event_bus(Name=name)
    except client.exceptions.ResourceAlreadyExistsException:
        return


if __name__ == "__main__":
    main()
