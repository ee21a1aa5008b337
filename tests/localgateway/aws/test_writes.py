"""Writes in the embedded DynamoDB: whole or not at all, also when many clients write at once."""

import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_dynamodb import DynamoDBClient

from tests.localgateway.aws.test_engine import dynamodb
from tests.localgateway.support import PATIENCE, Gateway

HEAD = {"stream": {"S": "head"}, "seq": {"N": "0"}}
KEYS = {"stream": "HASH", "seq": "RANGE"}


def make_history(client: DynamoDBClient, name: str) -> None:
    """Create a table of streams and sequence numbers, with an index over owners."""
    types = {"stream": "S", "seq": "N", "owner": "S"}
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": n, "KeyType": kind} for n, kind in KEYS.items()],  # type: ignore[typeddict-item]
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()],  # type: ignore[typeddict-item]
        GlobalSecondaryIndexes=[
            {
                "IndexName": "ByOwner",
                "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture(scope="module")
def client(engine_process: str) -> DynamoDBClient:
    """Return a client of an engine with a history table."""
    client = dynamodb(engine_process)
    make_history(client, "History")
    return client


@pytest.fixture
def table(client: DynamoDBClient) -> Iterator[str]:
    """Return the name of the history table, with one row, and empty it after the test."""
    client.put_item(TableName="History", Item=HEAD | {"last": {"N": "0"}})
    yield "History"
    for row in client.scan(TableName="History")["Items"]:
        client.delete_item(TableName="History", Key={name: row[name] for name in KEYS})


def rows(client: DynamoDBClient) -> list[dict[str, Any]]:
    """Return the rows of the history table."""
    return client.scan(TableName="History")["Items"]


def append(client: DynamoDBClient, writer: str, number: int) -> None:
    """Append an event after the head, again and again until no one else was faster."""
    while True:
        head = client.get_item(TableName="Chain", Key=HEAD, ConsistentRead=True)["Item"]
        last = int(head["last"]["N"])
        event = {"stream": {"S": "a"}, "seq": {"N": f"{last + 1}"}, "owner": {"S": writer}}
        try:
            client.transact_write_items(
                TransactItems=[
                    {
                        "Put": {
                            "TableName": "Chain",
                            "Item": event | {"number": {"N": f"{number}"}, "after": head["last"]},
                            "ConditionExpression": "attribute_not_exists(seq)",
                        }
                    },
                    {
                        "Update": {
                            "TableName": "Chain",
                            "Key": HEAD,
                            "UpdateExpression": "SET #last = :new",
                            "ConditionExpression": "#last = :old",
                            "ExpressionAttributeNames": {"#last": "last"},
                            "ExpressionAttributeValues": {
                                ":new": event["seq"],
                                ":old": head["last"],
                            },
                        }
                    },
                ]
            )
        except client.exceptions.TransactionCanceledException as error:
            codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
            assert set(codes) <= {"None", "ConditionalCheckFailed"}
        else:
            return


@pytest.mark.proof
def test_many_clients_append_an_unbroken_chain(gateway: Gateway) -> None:
    """Each of them wins a number once, in the process that `make run` starts."""
    client = gateway.dynamodb()
    make_history(client, "Chain")
    client.put_item(TableName="Chain", Item=HEAD | {"last": {"N": "0"}})
    writers, each = "abcdefgh", 6

    with concurrent.futures.ThreadPoolExecutor(len(writers)) as pool:
        tasks = [pool.submit(append, client, w, n) for w in writers for n in range(each)]
        for task in tasks:
            task.result(PATIENCE)
    chain = client.query(
        TableName="Chain",
        KeyConditionExpression="stream = :s AND seq > :n",
        ExpressionAttributeValues={":s": {"S": "a"}, ":n": {"N": "0"}},
    )["Items"]
    head = client.get_item(TableName="Chain", Key=HEAD)["Item"]
    client.delete_table(TableName="Chain")

    total = len(writers) * each
    assert [int(event["seq"]["N"]) for event in chain] == list(range(1, total + 1))
    assert [int(event["after"]["N"]) for event in chain] == list(range(total))
    assert {(event["owner"]["S"], int(event["number"]["N"])) for event in chain} == {
        (writer, number) for writer in writers for number in range(each)
    }
    assert head["last"]["N"] == str(total)


def test_conditional_writes_at_once_have_one_winner(gateway: Gateway) -> None:
    """The others fail their condition."""
    client = gateway.dynamodb()

    def claim(number: int) -> bool:
        try:
            client.put_item(
                TableName="Things-dev",
                Item={"id": {"S": "claimed"}, "by": {"N": f"{number}"}},
                ConditionExpression="attribute_not_exists(id)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(32)))
    winner = client.delete_item(
        TableName="Things-dev", Key={"id": {"S": "claimed"}}, ReturnValues="ALL_OLD"
    )["Attributes"]

    assert won.count(True) == 1
    assert won.index(True) == int(winner["by"]["N"])


@pytest.mark.parametrize(
    ("last", "codes"),
    [
        (
            {
                "ConditionCheck": {
                    "TableName": "History",
                    "Key": {"stream": {"S": "missing"}, "seq": {"N": "1"}},
                    "ConditionExpression": "attribute_exists(seq)",
                }
            },
            ["None", "None", "None", "ConditionalCheckFailed"],
        ),
        (
            {"Put": {"TableName": "History", "Item": {"stream": {"S": "x"}}}},
            ["None", "None", "None", "ValidationError"],
        ),
        (
            {
                "Put": {
                    "TableName": "History",
                    "Item": {"stream": {"S": "x"}, "seq": {"N": "1"}, "owner": {"N": "1"}},
                }
            },
            None,
        ),
    ],
    ids=["condition", "missing key", "type of an index key"],
)
def test_a_canceled_transaction_changes_nothing(
    client: DynamoDBClient, table: str, last: Any, codes: list[str] | None
) -> None:
    """Neither its puts nor its updates nor its deletions, whichever item is wrong."""
    client.put_item(TableName=table, Item={"stream": {"S": "b"}, "seq": {"N": "1"}})
    before = rows(client)

    with pytest.raises(ClientError) as raised:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": {"stream": {"S": "c"}, "seq": {"N": "1"}}}},
                {
                    "Update": {
                        "TableName": table,
                        "Key": HEAD,
                        "UpdateExpression": "SET #l = #l + :one",
                        "ExpressionAttributeNames": {"#l": "last"},
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
                {"Delete": {"TableName": table, "Key": {"stream": {"S": "b"}, "seq": {"N": "1"}}}},
                last,
            ]
        )

    assert rows(client) == before
    reasons = raised.value.response.get("CancellationReasons", [])
    assert [reason["Code"] for reason in reasons] == (codes or [])
    if codes is None:
        assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_a_batch_with_one_wrong_item_changes_nothing(client: DynamoDBClient, table: str) -> None:
    """DynamoDB checks the whole batch first."""
    before = rows(client)
    items: list[Any] = [
        {"stream": {"S": "x"}, "seq": {"N": "1"}},
        {"stream": {"S": "x"}, "seq": {"S": "2"}},
    ]

    with pytest.raises(ClientError, match="ValidationException"):
        client.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]}
        )

    assert rows(client) == before


def test_a_transaction_is_applied_once_per_token(client: DynamoDBClient, table: str) -> None:
    """An SDK that has lost the answer sends the same token again."""
    add: Any = {
        "Update": {
            "TableName": table,
            "Key": HEAD,
            "UpdateExpression": "ADD #l :one",
            "ExpressionAttributeNames": {"#l": "last"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    other: Any = {"Delete": {"TableName": table, "Key": HEAD}}

    for _ in range(3):
        client.transact_write_items(TransactItems=[add], ClientRequestToken="same")
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.transact_write_items(TransactItems=[other], ClientRequestToken="same")

    assert [row["last"]["N"] for row in rows(client)] == ["1"]


def test_a_failed_update_leaves_no_row_and_no_half(client: DynamoDBClient, table: str) -> None:
    """An update of a missing row creates it only if the whole update is valid."""
    before = rows(client)

    for key in (HEAD, {"stream": {"S": "new"}, "seq": {"N": "1"}}):
        with pytest.raises(ClientError, match="secondary index key to unsupported type"):
            client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #a = :n, #o = :n",
                ExpressionAttributeNames={"#a": "last", "#o": "owner"},
                ExpressionAttributeValues={":n": {"N": "7"}},
            )

    assert rows(client) == before
