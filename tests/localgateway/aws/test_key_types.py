"""Keys of another type than the schema's are refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_dynamodb import DynamoDBClient

from localgateway.aws.faults import Faults
from tests.localgateway.aws.test_engine import dynamodb, engine
from tests.localgateway.aws.test_writes import make_history

ROW = {"stream": {"S": "a"}, "seq": {"N": "1"}}
WRONG = {"stream": {"S": "a"}, "seq": {"S": "1"}}
INDEX = "Type mismatch for Index Key owner Expected: S Actual: {} IndexName: ByOwner"
SCHEMA = "The provided key element does not match the schema"
QUERY = {"KeyConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "owner"}}
CONDITION = "Condition parameter type does not match schema type"


@pytest.fixture(scope="module")
def client() -> Iterator[DynamoDBClient]:
    """Return a client of an engine with a history table."""
    with engine(Faults()) as address:
        client = dynamodb(address)
        make_history(client, "Keys")
        yield client


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("put_item", {"Item": ROW | {"owner": {"N": "1"}}}, INDEX.format("N")),
        ("put_item", {"Item": ROW | {"owner": {"NULL": True}}}, INDEX.format("NULL")),
        ("put_item", {"Item": ROW | {"owner": {"L": []}}}, INDEX.format("L")),
        ("put_item", {"Item": ROW | {"owner": {"B": b"x"}}}, INDEX.format("B")),
        ("put_item", {"Item": WRONG}, "Type mismatch for key seq"),
        ("get_item", {"Key": WRONG}, SCHEMA),
        ("delete_item", {"Key": WRONG}, SCHEMA),
        ("update_item", {"Key": WRONG, "UpdateExpression": "REMOVE a"}, SCHEMA),
        (
            "query",
            QUERY | {"IndexName": "ByOwner", "ExpressionAttributeValues": {":k": {"BOOL": True}}},
            CONDITION,
        ),
        (
            "query",
            {
                "KeyConditionExpression": "stream = :s AND seq > :n",
                "ExpressionAttributeValues": {":s": {"S": "a"}, ":n": {"S": "0"}},
            },
            CONDITION,
        ),
    ],
)
def test_a_wrong_type_is_a_validation_error(
    client: DynamoDBClient, operation: str, arguments: dict[str, Any], message: str
) -> None:
    """The message names the key, as DynamoDB's does."""
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(TableName="Keys", **arguments)

    error = raised.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert message in error["Message"]
    assert client.scan(TableName="Keys")["Count"] == 0


def test_right_types_and_missing_index_keys_are_stored(client: DynamoDBClient) -> None:
    """An index is sparse: a row without its key is not in it."""
    rows = [ROW, ROW | {"seq": {"N": "2"}, "owner": {"S": "ada"}}]
    for row in rows:
        client.put_item(TableName="Keys", Item=row)

    found = client.query(
        TableName="Keys",
        IndexName="ByOwner",
        ExpressionAttributeValues={":k": {"S": "ada"}},
        **QUERY,  # type: ignore[arg-type]
    )["Items"]
    for row in rows:
        key = {name: row[name] for name in ("stream", "seq")}
        client.delete_item(TableName="Keys", Key=key)

    assert found == [rows[1]]
