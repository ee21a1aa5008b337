"""Creation of the resources, in moto and in the process that the gateway starts."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from localgateway.errors import ResourcesError
from localgateway.resources.creation import create
from localgateway.resources.template import Resources, Table, read_resources
from provision.__main__ import main as provision

RESOURCES = Path(__file__).resolve().parents[3] / ".chalice" / "resources.json"
KEYS: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a region and credentials of the test's own."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def found() -> Any:
    """Return what a functions' clients can see of the resources."""
    dynamodb = boto3.client("dynamodb")
    tables = {}
    for name in dynamodb.list_tables()["TableNames"]:
        described: Any = dynamodb.describe_table(TableName=name)["Table"]
        wanted = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes")
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        tables[name] = [described[each] for each in wanted] + [ttl["AttributeName"]]
    topics = [topic["TopicArn"] for topic in boto3.client("sns").list_topics()["Topics"]]
    buses = [bus["Name"] for bus in boto3.client("events").list_event_buses()["EventBuses"]]
    return tables, topics, buses


def test_it_creates_what_a_deployment_creates() -> None:
    """`provision` reads the same file with stricter code; both lead to the same resources."""
    parameters = {"Stage": "dev", "AWS::Region": "us-east-1", "AWS::Partition": "aws"}
    with mock_aws():
        create(read_resources(RESOURCES, parameters))
        here = found()
    with mock_aws():
        result = CliRunner().invoke(
            provision, ["--stage=dev", f"--resources={RESOURCES}", "--region=us-east-1"]
        )
        deployed = found()

    assert result.exit_code == 0, result.output
    assert here == deployed
    assert len(here[0]) == 1


def test_what_exists_is_left_alone() -> None:
    """A second start on another DynamoDB finds its tables."""
    resources = Resources((Table({"TableName": "Things", **KEYS}, "ttl"),), ("Mine",), {"News": {}})
    with mock_aws():
        create(resources)
        boto3.client("dynamodb").put_item(TableName="Things", Item={"id": {"S": "a"}})
        create(resources)
        rows = boto3.client("dynamodb").scan(TableName="Things")["Items"]

    assert rows == [{"id": {"S": "a"}}]


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (
            Resources((Table({"TableName": "Things", **KEYS, "AttributeDefinitions": []}, None),)),
            "cannot create table Things: An error occurred (ValidationException)",
        ),
        (
            Resources((Table({"TableName": "Things", **KEYS, "KeySchema": "id"}, None),)),
            "cannot create table Things: Parameter validation failed:; Invalid type for parameter",
        ),
        (
            Resources(topics={"Good News": {}}),
            "cannot create topic Good News: An error occurred (InvalidParameter)",
        ),
    ],
)
def test_a_definition_that_aws_refuses_is_an_error_of_one_line(
    resources: Resources, said: str
) -> None:
    """It names the resource and has AWS's own message."""
    with mock_aws(), pytest.raises(ResourcesError) as raised:
        create(resources)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
