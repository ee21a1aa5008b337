"""The embedded AWS, through boto3 over real sockets."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_dynamodb import DynamoDBClient

from localgateway.aws.engine import Engine, Faults
from tests.localgateway.support import PATIENCE, SESSION

ONE_TRY = Config(retries={"total_max_attempts": 1})


@contextmanager
def engine(faults: Faults) -> Iterator[str]:
    """Serve an engine on a free port and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(Engine(faults), log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def dynamodb(address: str) -> DynamoDBClient:
    """Return a client that does not retry."""
    return SESSION.client("dynamodb", endpoint_url=address, config=ONE_TRY)


def make_table(client: DynamoDBClient) -> str:
    """Create a table with a unique name."""
    name = f"table-{uuid4()}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def test_items_are_stored_and_read_and_deleted() -> None:
    """Results and errors are DynamoDB's."""
    with engine(Faults()) as address:
        client = dynamodb(address)
        table = make_table(client)

        client.put_item(TableName=table, Item={"id": {"S": "a"}, "text": {"S": "ü"}})
        read = client.get_item(TableName=table, Key={"id": {"S": "a"}})
        deleted = client.delete_item(
            TableName=table, Key={"id": {"S": "a"}}, ReturnValues="ALL_OLD"
        )

        assert read["Item"] == deleted["Attributes"] == {"id": {"S": "a"}, "text": {"S": "ü"}}
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_item(TableName="missing", Key={"id": {"S": "a"}})


def test_other_services_are_available() -> None:
    """Functions can use every service that moto offers."""
    with engine(Faults(fail=1.0)) as address:
        sns = SESSION.client("sns", endpoint_url=address, config=ONE_TRY)

        arn = sns.create_topic(Name="topic")["TopicArn"]

        assert arn in [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]


def test_a_share_of_item_calls_fails() -> None:
    """With a share of 1, every call on items fails, but no call on tables."""
    with engine(Faults(fail=1.0)) as address:
        client = dynamodb(address)

        table = make_table(client)
        with pytest.raises(ClientError) as raised:
            client.put_item(TableName=table, Item={"id": {"S": "a"}})

        assert client.describe_table(TableName=table)["Table"]["ItemCount"] == 0
        assert raised.value.response["Error"]["Code"] == "InternalServerError"
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_calls_are_delayed_without_delaying_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call waits for the lag, and the engine serves others meanwhile."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        asked.append(delay)
        await sleep(0)

    monkeypatch.setattr("localgateway.aws.engine.asyncio.sleep", note)
    with engine(Faults(lag=0.75)) as address:
        client = dynamodb(address)
        table = make_table(client)
        asked.clear()

        client.put_item(TableName=table, Item={"id": {"S": "a"}})

    assert 0.75 in asked
