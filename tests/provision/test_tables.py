from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from provision.errors import TableMismatchError
from provision.tables import ensure
from provision.template import TableDefinition

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.literals import ScalarAttributeTypeType
    from mypy_boto3_dynamodb.type_defs import GlobalSecondaryIndexTypeDef, ProjectionTypeDef

pytestmark = pytest.mark.usefixtures("account", "pauses")


def keyed(attribute: str, kind: ScalarAttributeTypeType) -> TableDefinition:
    """Define a table with a partition key and nothing else."""
    return TableDefinition(
        name="Rows",
        key_schema=({"AttributeName": attribute, "KeyType": "HASH"},),
        attributes=({"AttributeName": attribute, "AttributeType": kind},),
        billing_mode="PAY_PER_REQUEST",
    )


def index(name: str, attribute: str) -> GlobalSecondaryIndexTypeDef:
    """Define an index."""
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }


KEYS_ONLY: ProjectionTypeDef = {"ProjectionType": "KEYS_ONLY"}
PLAIN = keyed("id", "S")
INDEXED = replace(
    PLAIN,
    attributes=(*PLAIN.attributes, {"AttributeName": "owner", "AttributeType": "S"}),
    indexes=(index("by-owner", "owner"),),
)
EXPIRING = replace(PLAIN, ttl_attribute="expires")
FULL = replace(
    INDEXED,
    stream={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
    ttl_attribute="expires",
    encryption={"Enabled": True},
    point_in_time_recovery=True,
)
OFF: dict[str, Any] = {"indexes": [], "stream": None, "encryption": None, "ttl": ("DISABLED", None)}
STATES = {
    "plain": (PLAIN, OFF | {"recovery": "DISABLED"}),
    "full": (
        FULL,
        {
            "indexes": ["by-owner"],
            "stream": FULL.stream,
            "encryption": "ENABLED",
            "ttl": ("ENABLED", "expires"),
            "recovery": "ENABLED",
        },
    ),
}


@pytest.fixture
def client(caplog: pytest.LogCaptureFixture) -> DynamoDBClient:
    """Return a client of an empty DynamoDB."""
    caplog.set_level("INFO", "provision")
    return boto3.client("dynamodb")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """List the seconds that the waiters would have slept."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.waiter.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def calls(client: DynamoDBClient) -> list[str]:
    """List the operations that the client calls."""
    calls: list[str] = []
    client.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    return calls


def state(client: DynamoDBClient) -> dict[str, Any]:
    """Read back what a definition can turn on."""
    table = client.describe_table(TableName="Rows")["Table"]
    ttl = client.describe_time_to_live(TableName="Rows")["TimeToLiveDescription"]
    backups = client.describe_continuous_backups(TableName="Rows")["ContinuousBackupsDescription"]
    return {
        "indexes": [i["IndexName"] for i in table.get("GlobalSecondaryIndexes", [])],
        "stream": table.get("StreamSpecification"),
        "encryption": table.get("SSEDescription", {}).get("Status"),
        "ttl": (ttl["TimeToLiveStatus"], ttl.get("AttributeName")),
        "recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
    }


@pytest.mark.parametrize(("definition", "expected"), STATES.values(), ids=STATES)
def test_a_missing_table_is_created_as_defined(
    client: DynamoDBClient, definition: TableDefinition, expected: dict[str, Any]
) -> None:
    """DynamoDB reports everything in the definition, and nothing beyond it."""
    ensure(client, definition)

    assert state(client) == expected
    table = client.describe_table(TableName="Rows")["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == list(definition.key_schema)
    assert table["BillingModeSummary"]["BillingMode"] == definition.billing_mode


@pytest.mark.parametrize("definition", [FULL, PLAIN])
def test_a_second_run_only_reads(
    client: DynamoDBClient, calls: list[str], definition: TableDefinition
) -> None:
    """So it can precede every deployment."""
    ensure(client, definition)
    client.put_item(TableName="Rows", Item={"id": {"S": "1"}})
    calls.clear()

    ensure(client, definition)

    assert calls
    assert all(call.startswith("Describe") for call in calls), calls
    assert client.scan(TableName="Rows")["Count"] == 1


def test_an_existing_table_gets_time_to_live_and_backups(client: DynamoDBClient) -> None:
    """Both can be enabled at any time."""
    ensure(client, PLAIN)

    ensure(client, replace(EXPIRING, point_in_time_recovery=True))

    assert state(client) == OFF | {"ttl": ("ENABLED", "expires"), "recovery": "ENABLED"}


@pytest.mark.parametrize(
    ("existing", "definition", "message"),
    [
        (PLAIN, keyed("key", "S"), "keys ['id (S, HASH)'], … ['key (S, HASH)']"),
        (PLAIN, keyed("id", "N"), "keys ['id (S, HASH)'], … ['id (N, HASH)']"),
        (EXPIRING, replace(PLAIN, ttl_attribute="at"), "time to live on expires, … at"),
        (EXPIRING, PLAIN, "time to live on expires, … None"),
        (INDEXED, PLAIN, "indexes {'by-owner': ['owner (S, HASH)']}, … {}"),
        (
            INDEXED,
            replace(INDEXED, indexes=(index("by-owner", "id"),)),
            "indexes {'by-owner': ['owner (S, HASH)']}, … {'by-owner': ['id (S, HASH)']}",
        ),
        (
            replace(INDEXED, indexes=({**index("by-owner", "owner"), "Projection": KEYS_ONLY},)),
            INDEXED,
            "indexes {'by-owner': ['owner (S, HASH)', 'KEYS_ONLY']}, "
            "… {'by-owner': ['owner (S, HASH)']}",
        ),
    ],
)
def test_a_table_that_differs_is_refused_and_left_alone(
    client: DynamoDBClient, existing: TableDefinition, definition: TableDefinition, message: str
) -> None:
    """The error shows both versions, and no index is dropped or replaced."""
    ensure(client, existing)
    before = state(client)

    with pytest.raises(TableMismatchError) as refused:
        ensure(client, definition)

    differs = message.replace("…", "but the resources file defines")
    assert str(refused.value) == f"table Rows exists with {differs}"
    assert state(client) == before


def test_missing_indexes_are_added_one_after_the_other(
    client: DynamoDBClient, calls: list[str], pauses: list[float]
) -> None:
    """DynamoDB creates one index at a time."""
    ensure(client, PLAIN)
    client.put_item(TableName="Rows", Item={"id": {"S": "1"}, "owner": {"S": "us"}})
    calls.clear()

    def still_creating(parsed: dict[str, Any], **_: Any) -> None:
        """Show moto's index, which is active at once, as CREATING the first time."""
        for index in parsed["Table"].get("GlobalSecondaryIndexes", []):
            client.meta.events.unregister("after-call.dynamodb.DescribeTable", still_creating)
            index["IndexStatus"] = "CREATING"

    client.meta.events.register("after-call.dynamodb.DescribeTable", still_creating)

    ensure(client, replace(INDEXED, indexes=(*INDEXED.indexes, index("second", "owner"))))

    assert pauses == [5]
    first, second = [n for n, call in enumerate(calls) if call == "UpdateTable"]
    assert calls[first + 1 : second] == ["DescribeTable", "DescribeTable"]
    assert state(client)["indexes"] == ["by-owner", "second"]
    found = client.query(
        TableName="Rows",
        IndexName="by-owner",
        KeyConditionExpression="owner = :owner",
        ExpressionAttributeValues={":owner": {"S": "us"}},
    )
    assert found["Count"] == 1


def test_two_runs_at_once_both_succeed(
    client: DynamoDBClient, caplog: pytest.LogCaptureFixture, interleave: Callable[..., None]
) -> None:
    """The slower run completes the table that the faster one has just created."""
    interleave(client, "CreateTable", lambda: ensure(client, PLAIN))

    ensure(client, EXPIRING)

    assert "another process is creating table Rows" in caplog.messages
    assert state(client)["ttl"] == ("ENABLED", "expires")


def test_a_new_table_is_asked_for_backups_until_it_has_them(
    client: DynamoDBClient, pauses: list[float], fail: Callable[..., None]
) -> None:
    """DynamoDB refuses the first request for some seconds."""
    code = "ContinuousBackupsUnavailableException"
    fail(client, "UpdateContinuousBackups", code, once=True)

    ensure(client, FULL)

    assert pauses == [2]
    assert state(client)["recovery"] == "ENABLED"


def test_an_engine_without_backups_gets_the_table_and_a_warning(
    client: DynamoDBClient, caplog: pytest.LogCaptureFixture, fail: Callable[..., None]
) -> None:
    """DynamoDB Local answers so."""
    fail(client, "DescribeContinuousBackups", "UnknownOperationException")

    ensure(client, FULL)

    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage() == (
        "table Rows: this DynamoDB does not support point-in-time recovery"
    )


@pytest.mark.parametrize(
    "operation",
    ["DescribeTable", "CreateTable", "UpdateTimeToLive", "DescribeContinuousBackups"],
)
def test_any_other_error_stops_the_run(
    client: DynamoDBClient, operation: str, fail: Callable[..., None]
) -> None:
    """No denied call is mistaken for a missing table or a missing feature."""
    fail(client, operation, "AccessDeniedException")

    with pytest.raises(ClientError, match="AccessDeniedException"):
        ensure(client, FULL)
