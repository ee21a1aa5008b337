"""Tables made from their definitions, in an in-process DynamoDB."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from provision.errors import TableMismatchError
from provision.tables import ensure
from provision.template import TableDefinition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import GlobalSecondaryIndexTypeDef

ROWS = TableDefinition(
    name="Rows",
    key_schema=({"AttributeName": "id", "KeyType": "HASH"},),
    attributes=(
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "owner", "AttributeType": "S"},
    ),
    billing_mode="PAY_PER_REQUEST",
    indexes=(
        {
            "IndexName": "by-owner",
            "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        },
    ),
    stream={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
    ttl_attribute="expires",
    encryption={"Enabled": True},
    point_in_time_recovery=True,
)
PLAIN = TableDefinition(
    name="Rows",
    key_schema=({"AttributeName": "id", "KeyType": "HASH"},),
    attributes=({"AttributeName": "id", "AttributeType": "S"},),
    billing_mode="PAY_PER_REQUEST",
)


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    """Give a client of an empty DynamoDB."""
    with mock_aws():
        yield boto3.client("dynamodb")


def state(client: DynamoDBClient, table: str) -> dict[str, Any]:
    """Read everything that a definition says back."""
    found = client.describe_table(TableName=table)["Table"]
    ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    backups = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]
    return {
        "status": found["TableStatus"],
        "keys": found["KeySchema"],
        "billing": found["BillingModeSummary"]["BillingMode"],
        "indexes": [i["IndexName"] for i in found.get("GlobalSecondaryIndexes", [])],
        "stream": found.get("StreamSpecification"),
        "encryption": found.get("SSEDescription", {}).get("Status"),
        "ttl": (ttl["TimeToLiveStatus"], ttl.get("AttributeName")),
        "recovery": recovery["PointInTimeRecoveryStatus"],
    }


def test_a_missing_table_is_created_as_defined(client: DynamoDBClient) -> None:
    """Keys, index, stream, encryption, time to live and backups are all there afterwards."""
    ensure(client, ROWS)
    assert state(client, "Rows") == {
        "status": "ACTIVE",
        "keys": [{"AttributeName": "id", "KeyType": "HASH"}],
        "billing": "PAY_PER_REQUEST",
        "indexes": ["by-owner"],
        "stream": {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
        "encryption": "ENABLED",
        "ttl": ("ENABLED", "expires"),
        "recovery": "ENABLED",
    }


def test_what_is_not_defined_is_not_turned_on(client: DynamoDBClient) -> None:
    """A plain definition makes a plain table."""
    ensure(client, PLAIN)
    made = state(client, "Rows")
    assert (made["ttl"], made["recovery"]) == (("DISABLED", None), "DISABLED")
    assert (made["indexes"], made["stream"], made["encryption"]) == ([], None, None)


@pytest.mark.parametrize("definition", [ROWS, PLAIN])
def test_a_table_that_is_there_keeps_its_rows_and_is_not_written_to(
    client: DynamoDBClient, definition: TableDefinition
) -> None:
    """A second run makes reads only, so it can precede every deployment."""
    # GIVEN
    ensure(client, definition)
    client.put_item(TableName="Rows", Item={"id": {"S": "1"}})
    calls: list[str] = []
    client.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))

    # WHEN
    ensure(client, definition)

    # THEN
    assert all(call.startswith("Describe") for call in calls), calls
    assert client.scan(TableName="Rows")["Count"] == 1


def test_a_table_made_without_time_to_live_and_backups_gets_them(client: DynamoDBClient) -> None:
    """What can be turned on later is turned on later."""
    ensure(client, PLAIN)
    ensure(client, replace(PLAIN, ttl_attribute="expires", point_in_time_recovery=True))
    made = state(client, "Rows")
    assert (made["ttl"], made["recovery"]) == (("ENABLED", "expires"), "ENABLED")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (
            replace(
                PLAIN,
                key_schema=({"AttributeName": "key", "KeyType": "HASH"},),
                attributes=({"AttributeName": "key", "AttributeType": "S"},),
            ),
            "table Rows exists with keys ['id (S, HASH)'], "
            "but the resources file defines ['key (S, HASH)']",
        ),
        (
            replace(PLAIN, attributes=({"AttributeName": "id", "AttributeType": "N"},)),
            "table Rows exists with keys ['id (S, HASH)'], "
            "but the resources file defines ['id (N, HASH)']",
        ),
        (
            replace(PLAIN, ttl_attribute="other"),
            "table Rows exists with time to live on expires, but the resources file defines other",
        ),
        (
            PLAIN,
            "table Rows exists with time to live on expires, but the resources file defines None",
        ),
    ],
)
def test_a_table_of_another_shape_is_refused_and_left_alone(
    client: DynamoDBClient, definition: TableDefinition, message: str
) -> None:
    """The error says what was found and what was defined; nothing is changed."""
    # GIVEN
    ensure(client, replace(PLAIN, ttl_attribute="expires"))
    before = state(client, "Rows")

    # WHEN
    with pytest.raises(TableMismatchError) as refused:
        ensure(client, definition)

    # THEN
    assert str(refused.value) == message
    assert state(client, "Rows") == before


def test_missing_indexes_are_added_one_after_the_other(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table from before an index was defined gets it, with its rows, and is waited for."""
    # GIVEN
    ensure(client, PLAIN)
    client.put_item(TableName="Rows", Item={"id": {"S": "1"}, "owner": {"S": "us"}})
    second: GlobalSecondaryIndexTypeDef = {**ROWS.indexes[0], "IndexName": "by-owner-again"}
    calls: list[str] = []
    pauses: list[float] = []
    monkeypatch.setattr("botocore.waiter.time.sleep", pauses.append)
    client.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))

    def still_creating(parsed: dict[str, Any], **_: Any) -> None:
        """Let moto's index, which is there at once, be seen as under way a first time."""
        for index in parsed["Table"].get("GlobalSecondaryIndexes", []):
            client.meta.events.unregister("after-call.dynamodb.DescribeTable", still_creating)
            index["IndexStatus"] = "CREATING"

    client.meta.events.register("after-call.dynamodb.DescribeTable", still_creating)

    # WHEN
    ensure(client, replace(PLAIN, attributes=ROWS.attributes, indexes=(*ROWS.indexes, second)))

    # THEN
    assert state(client, "Rows")["indexes"] == ["by-owner", "by-owner-again"]
    found = client.query(
        TableName="Rows",
        IndexName="by-owner",
        KeyConditionExpression="owner = :owner",
        ExpressionAttributeValues={":owner": {"S": "us"}},
    )
    assert found["Count"] == 1
    assert pauses == [5]
    changes = [n for n, call in enumerate(calls) if call == "UpdateTable"]
    assert len(changes) == 2
    assert calls[changes[0] + 1 : changes[1]] == ["DescribeTable", "DescribeTable"]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (PLAIN, "defines {}"),
        (
            replace(
                ROWS,
                indexes=(
                    {
                        "IndexName": "by-owner",
                        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "ALL"},
                    },
                ),
            ),
            "exists with indexes {'by-owner': ['owner (S, HASH)']}, "
            "but the resources file defines {'by-owner': ['id (S, HASH)']}",
        ),
    ],
)
def test_an_index_that_is_not_the_defined_one_is_refused_and_left_alone(
    client: DynamoDBClient, definition: TableDefinition, message: str
) -> None:
    """An index is neither dropped nor made anew behind the back of those who query it."""
    # GIVEN
    ensure(client, ROWS)
    before = state(client, "Rows")

    # WHEN
    with pytest.raises(TableMismatchError) as refused:
        ensure(client, definition)

    # THEN
    assert message in str(refused.value)
    assert state(client, "Rows") == before


def test_a_table_that_someone_else_creates_meanwhile_is_taken(
    client: DynamoDBClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Two runs at once both succeed: the slower one finds the table being created."""

    # GIVEN
    def create_first(**_: Any) -> None:
        client.meta.events.unregister("before-call.dynamodb.CreateTable", create_first)
        ensure(client, PLAIN)

    client.meta.events.register("before-call.dynamodb.CreateTable", create_first)

    # WHEN
    with caplog.at_level(logging.INFO, "provision"):
        ensure(client, replace(PLAIN, ttl_attribute="expires"))

    # THEN
    assert "table Rows is being created by someone else" in caplog.text
    assert state(client, "Rows")["ttl"] == ("ENABLED", "expires")


def error(code: str) -> ClientError:
    """Make the error that DynamoDB answers with."""
    return ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateContinuousBackups")


def test_backups_of_a_new_table_are_waited_for(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB refuses to turn backups on until it has set them up; the run asks again."""
    # GIVEN
    pauses: list[float] = []
    monkeypatch.setattr("botocore.waiter.time.sleep", pauses.append)

    def refuse_once(**_: Any) -> None:
        client.meta.events.unregister("before-call.dynamodb.UpdateContinuousBackups", refuse_once)
        raise error("ContinuousBackupsUnavailableException")

    client.meta.events.register("before-call.dynamodb.UpdateContinuousBackups", refuse_once)

    # WHEN
    ensure(client, ROWS)

    # THEN
    assert pauses == [2]
    assert state(client, "Rows")["recovery"] == "ENABLED"


def test_an_engine_without_backups_is_served_with_a_warning(
    client: DynamoDBClient, caplog: pytest.LogCaptureFixture
) -> None:
    """DynamoDB Local knows no backups; the table is made all the same, and that is said."""

    # GIVEN
    def refuse(**_: Any) -> None:
        raise error("UnknownOperationException")

    client.meta.events.register("before-call.dynamodb.DescribeContinuousBackups", refuse)

    # WHEN
    ensure(client, ROWS)

    # THEN
    assert "this DynamoDB has no point-in-time recovery for Rows" in caplog.text


def test_any_other_failure_is_not_hidden(client: DynamoDBClient) -> None:
    """A denied call stops the run."""

    # GIVEN
    def refuse(**_: Any) -> None:
        raise error("AccessDeniedException")

    client.meta.events.register("before-call.dynamodb.DescribeContinuousBackups", refuse)

    # THEN
    with pytest.raises(ClientError, match="AccessDeniedException"):
        ensure(client, ROWS)
