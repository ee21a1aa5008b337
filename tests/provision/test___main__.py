"""`python -m provision`, in an in-process AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from click.testing import CliRunner

from provision.__main__ import main

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.usefixtures("account")

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
REGION = "eu-central-1"


@dataclass(frozen=True)
class Made:
    """What the account holds."""

    tables: list[str]
    buses: list[str]
    topics: list[str]
    queues: list[str]


def made() -> Made:
    """List what the account holds in the region that the command was told."""
    events, sns = boto3.client("events", REGION), boto3.client("sns", REGION)
    sqs = boto3.client("sqs", REGION)
    return Made(
        tables=boto3.client("dynamodb", REGION).list_tables()["TableNames"],
        buses=[bus["Name"] for bus in events.list_event_buses()["EventBuses"]],
        topics=[topic["TopicArn"] for topic in sns.list_topics()["Topics"]],
        queues=[url.rpartition("/")[2] for url in sqs.list_queues().get("QueueUrls", [])],
    )


def provision(*options: str, resources: Path = RESOURCES) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["--resources", str(resources), "--region", REGION, *options])


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_second_run_finds_what_the_first_created(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The command may be repeated, and each log line says what it did or found."""
    table, bus = f"IncidentWebSocketConnections-{stage}", f"IncidentWebSocket-{stage}"
    failed, unclaimed = f"IncidentNotificationsFailed-{stage}", f"IncidentUnclaimed-{stage}"
    topic, history = f"IncidentNotifications-{stage}", f"IncidentWebSocketHistory-{stage}"

    first, second = provision("--stage", stage), provision("--stage", stage)

    assert (first.exit_code, second.exit_code) == (0, 0)
    arn = f"arn:aws:sns:{REGION}:123456789012:{topic}"
    assert made() == Made([table, history], ["default", bus], [arn], [failed, unclaimed])
    assert caplog.messages == [
        f"created table {table}",
        f"enabled time to live of table {table} on attribute ttl",
        f"enabled point-in-time recovery of table {table}",
        f"created table {history}",
        f"enabled time to live of table {history} on attribute ttl",
        f"created event bus {bus}",
        f"topic {topic} exists",
        f"updated the policy of topic {arn}",
        f"created queue {failed}",
        f"created queue {unclaimed}",
        f"table {table} already exists",
        f"table {history} already exists",
        f"event bus {bus} already exists",
        f"topic {topic} exists",
        f"updated the policy of topic {arn}",
        f"queue {failed} already exists",
        f"queue {unclaimed} already exists",
    ]


def test_the_topic_gets_the_policy_of_the_resources_file() -> None:
    """The policy names the topic's ARN and the account, which only SNS knows."""
    provision("--stage", "dev")

    [arn] = made().topics
    attributes = boto3.client("sns", REGION).get_topic_attributes(TopicArn=arn)["Attributes"]
    statements = json.loads(attributes["Policy"])["Statement"]
    assert {statement["Resource"] for statement in statements} == {arn}
    assert {str(statement["Condition"]).count("123456789012") for statement in statements} == {1}


def test_an_endpoint_url_gets_the_tables_only() -> None:
    """The address of a DynamoDB does not say where EventBridge and SNS are."""
    result = provision(
        "--stage", "dev", "--endpoint-url", f"https://dynamodb.{REGION}.amazonaws.com"
    )

    assert result.exit_code == 0, result.output
    tables = ["IncidentWebSocketConnections-dev", "IncidentWebSocketHistory-dev"]
    assert made() == Made(tables, ["default"], [], [])


def test_a_resources_file_without_a_topic_creates_none(tmp_path: Path) -> None:
    """The account id comes from a topic's ARN; without a topic nothing needs it."""
    table = json.loads(RESOURCES.read_text())["Resources"]["ConnectionsTable"]
    table["Properties"]["TableName"] = "Rows"
    resources = tmp_path / "resources.json"
    resources.write_text(json.dumps({"Resources": {"Table": table}}))

    result = provision("--stage", "dev", resources=resources)

    assert result.exit_code == 0, result.output
    assert made() == Made(["Rows"], ["default"], [], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--stage'"),
        (["--stage", "test"], "Error: parameter Stage is 'test'; expected dev or prod\n"),
        (
            ["--stage", "dev", "--parameter", "EventbridgeMayPublish=yes"],
            "Error: parameter EventbridgeMayPublish is not supported; supported: Stage, "
            "AlarmTopicArn, NotifyReservedConcurrency, EventBridgeMayPublish, NobodyHomeTopicArn, "
            "LogClosedConnections\n",
        ),
        (["--stage", "dev", "--resources", "nothing.json"], "Error: cannot read nothing.json"),
        (
            ["--stage", "dev", "--endpoint-url", "nowhere"],
            "Error: Invalid endpoint: nowhere; expected http://HOST:PORT\n",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line(options: list[str], message: str) -> None:
    """The message names the mistake; there is no traceback."""
    result = provision(*options)

    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
