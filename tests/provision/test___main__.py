"""The command line that makes a stage's tables, event buses and topics."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from provision.__main__ import main

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_stages_table_bus_and_topic_are_made_once_and_found_again(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The command may be repeated, and says what it did and what was there."""
    # GIVEN
    command = ["--stage", stage, "--resources", str(RESOURCES), "--region", "eu-west-1"]
    table = f"IncidentWebSocketConnections-{stage}"
    topic = f"IncidentNotifications-{stage}"

    # WHEN
    with mock_aws():
        first = CliRunner().invoke(main, command)
        second = CliRunner().invoke(main, command)
        topics = boto3.client("sns", region_name="eu-west-1").list_topics()["Topics"]
        tables = boto3.client("dynamodb", region_name="eu-west-1").list_tables()["TableNames"]
        buses = boto3.client("events", region_name="eu-west-1").list_event_buses()["EventBuses"]

    # THEN
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert tables == [table]
    assert [bus["Name"] for bus in buses] == ["default", f"IncidentWebSocket-{stage}"]
    [arn] = [found["TopicArn"] for found in topics]
    assert arn.endswith(f":{topic}")
    assert caplog.messages == [
        f"created table {table}",
        f"turned on time to live on ttl of table {table}",
        f"turned on point-in-time recovery of table {table}",
        f"created event bus IncidentWebSocket-{stage}",
        f"topic {topic} is there",
        f"set who may publish to topic {arn}",
        f"table {table} is there",
        f"event bus IncidentWebSocket-{stage} is there",
        f"topic {topic} is there",
        f"set who may publish to topic {arn}",
    ]


def test_another_dynamodb_gets_tables_only() -> None:
    """An address of DynamoDB says nothing of where an event bus or a topic could be."""
    # GIVEN
    address = ["--endpoint-url", "https://dynamodb.eu-west-1.amazonaws.com"]
    command = ["--stage", "dev", "--resources", str(RESOURCES), "--region", "eu-west-1", *address]

    # WHEN
    with mock_aws():
        result = CliRunner().invoke(main, command)
        tables = boto3.client("dynamodb", region_name="eu-west-1").list_tables()["TableNames"]
        topics = boto3.client("sns", region_name="eu-west-1").list_topics()["Topics"]
        buses = boto3.client("events", region_name="eu-west-1").list_event_buses()["EventBuses"]

    # THEN
    assert result.exit_code == 0, result.output
    assert tables == ["IncidentWebSocketConnections-dev"]
    assert [bus["Name"] for bus in buses] == ["default"]
    assert topics == []


def test_resources_without_a_topic_need_none(tmp_path: Path) -> None:
    """A table alone is made, and SNS is left alone."""
    # GIVEN
    table = json.loads(RESOURCES.read_text())["Resources"]["ConnectionsTable"]
    table["Properties"]["TableName"] = "Rows"
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"Resources": {"Table": table}}))
    command = ["--stage", "dev", "--resources", str(path), "--region", "eu-west-1"]

    # WHEN
    with mock_aws():
        result = CliRunner().invoke(main, command)
        topics = boto3.client("sns", region_name="eu-west-1").list_topics()["Topics"]

    # THEN
    assert result.exit_code == 0, result.output
    assert topics == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--stage'"),
        (["--stage", "test"], "parameter Stage is 'test'; accepted: dev, prod"),
        (["--stage", "dev", "--resources", "nothing.json"], "nothing.json"),
        (["--stage", "dev", "--endpoint-url", "nowhere"], "Invalid endpoint: nowhere"),
    ],
)
def test_a_mistake_is_answered_with_one_line(options: list[str], message: str) -> None:
    """No traceback: what was wrong, and a failing exit code."""
    command = ["--resources", str(RESOURCES), *options]
    with mock_aws():
        result = CliRunner().invoke(main, command)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
