"""The embedded AWS, through boto3 over real sockets."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_dynamodb import DynamoDBClient

from localgateway.access import Access
from localgateway.aws import engine_socket
from localgateway.aws.engine import Engine, configuration
from localgateway.aws.faults import Faults
from tests.localgateway.support import (
    PATIENCE,
    SESSION,
    SIGNED,
    answered,
    drained,
    request_head,
)

ONE_TRY = Config(retries={"total_max_attempts": 1})


@contextmanager
def engine(faults: Faults) -> Iterator[str]:
    """Serve an engine on a free port and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        subject = Engine(faults, Access(), {"local"})
        server = uvicorn.Server(configuration(subject))
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
    with engine(Faults(dynamodb_fail=1.0)) as address:
        sns = SESSION.client("sns", endpoint_url=address, config=ONE_TRY)

        arn = sns.create_topic(Name="topic")["TopicArn"]

        assert arn in [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]


# Calls on items, with what they need besides the name of the table.
KEY = {"id": {"S": "a"}}
CALLS: dict[str, Callable[[str], dict[str, Any]]] = {
    "put_item": lambda table: {"TableName": table, "Item": KEY},
    "get_item": lambda table: {"TableName": table, "Key": KEY},
    "scan": lambda table: {"TableName": table},
    "query": lambda table: {
        "TableName": table,
        "KeyConditionExpression": "id = :i",
        "ExpressionAttributeValues": {":i": {"S": "a"}},
    },
    "transact_write_items": lambda table: {
        "TransactItems": [{"Put": {"TableName": table, "Item": KEY}}]
    },
}


@pytest.mark.parametrize("operation", CALLS)
def test_calls_on_items_fail_and_wait_as_asked(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a share of 1, every call on items fails after its lag, but no call on tables."""
    asked = note_lags(monkeypatch)
    with engine(Faults(dynamodb_fail=1.0, dynamodb_lag=750)) as address:
        client = dynamodb(address)

        table = make_table(client)
        with pytest.raises(ClientError) as raised:
            getattr(client, operation)(**CALLS[operation](table))

        assert client.describe_table(TableName=table)["Table"]["ItemCount"] == 0
    assert raised.value.response["Error"]["Code"] == "InternalServerError"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert asked.count(0.75) == 1


def note_lags(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that receives each time in s for which the engine would sleep."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        asked.append(delay)
        await sleep(0)

    monkeypatch.setattr("localgateway.aws.engine.asyncio.sleep", note)
    return asked


def test_a_delayed_call_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lag alone changes no answer."""
    asked = note_lags(monkeypatch)
    with engine(Faults(dynamodb_lag=750)) as address:
        client = dynamodb(address)
        table = make_table(client)

        client.put_item(TableName=table, Item={"id": {"S": "a"}})

    assert 0.75 in asked


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/moto-api/data.json", {}, 404, "UnknownOperationException"),
        ("/moto-api/reset", {"Authorization": SIGNED.format(service="sns")}, 404, "Unknown"),
        ("/latest/meta-data/", {}, 404, "Unknown"),
        ("/", {"Authorization": SIGNED.format(service="moto_api")}, 404, "Unknown"),
        ("/", {}, 403, "MissingAuthenticationToken"),
        ("/", {"Authorization": "Bearer x"}, 403, "IncompleteSignature"),
        ("/", {"Authorization": SIGNED.format(service="sns")}, 403, "InvalidClientTokenId"),
        (
            "/",
            {
                "Authorization": SIGNED.format(service="dynamodb"),
                "X-Amz-Target": "DynamoDB_20120810.ListTables",
            },
            400,
            "UnrecognizedClientException",
        ),
        ("/", {"Origin": "https://evil.example"}, 403, "ForbiddenException"),
        ("/", {"Host": "evil.example"}, 403, "ForbiddenException"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_only_signed_requests_with_its_own_key_are_served(
    method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    """Neither moto's own API nor another user's credentials get in, and no page may read."""
    with engine(Faults()) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()

    assert answer.status == status
    assert answer.headers["x-amzn-errortype"].startswith(code)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_an_answer_has_no_cors_header() -> None:
    """Moto's own server would let every origin read it."""
    with engine(Faults()) as address:
        tables = dynamodb(address).list_tables()["ResponseMetadata"]["HTTPHeaders"]
        queues = SESSION.client("sqs", endpoint_url=address).list_queues()
        names = {*tables, *queues["ResponseMetadata"]["HTTPHeaders"]}

    assert "content-type" in names
    assert not [name for name in names if name.startswith("access-control")]


VALUES: dict[str, Any] = {
    "number": {"N": "5"},
    "list": {"L": []},
    "bool": {"BOOL": True},
    "null": {"NULL": True},
    "text": {"S": "5"},
    "map": {"M": {"n": {"N": "1"}}},
}


@pytest.fixture(scope="module")
def mixed(engine_process: str) -> tuple[DynamoDBClient, str]:
    """Return a client and a table whose rows have values of different types, or none."""
    client = dynamodb(engine_process)
    table = make_table(client)
    client.put_item(TableName=table, Item={"id": {"S": "missing"}})
    for key, value in VALUES.items():
        client.put_item(TableName=table, Item={"id": {"S": key}, "v": value})
    return client, table


@pytest.mark.parametrize(
    ("expression", "bound", "expected"),
    [
        ("#v < :v", {"N": "5"}, set()),
        ("#v < :v", {"S": "6"}, {"text"}),
        ("#v >= :v", {"N": "5"}, {"number"}),
        ("NOT #v < :v", {"N": "6"}, {"list", "bool", "null", "text", "map", "missing"}),
        ("#v BETWEEN :v AND :v", {"N": "5"}, {"number"}),
        ("begins_with(#v, :v)", {"S": "5"}, {"text"}),
        ("size(#v) > :v", {"N": "0"}, {"text", "map"}),
        ("#v = :v", {"N": "5"}, {"number"}),
        ("#v = :v", {"NULL": True}, {"null"}),
        ("#v IN (:v)", {"BOOL": True}, {"bool"}),
        ("#v IN (:v)", {"N": "1"}, set()),
        ("#v <> :v", {"N": "5"}, {"list", "bool", "null", "text", "map", "missing"}),
    ],
)
def test_a_filter_leaves_out_rows_of_another_type(
    mixed: tuple[DynamoDBClient, str], expression: str, bound: Any, expected: set[str]
) -> None:
    """DynamoDB compares values of one type only; the other rows come back."""
    client, table = mixed

    found = client.scan(
        TableName=table,
        FilterExpression=expression,
        ExpressionAttributeNames={"#v": "v"},
        ExpressionAttributeValues={":v": bound},
    )["Items"]

    assert {item["id"]["S"] for item in found} == expected


@pytest.mark.parametrize("item", [{"id": {"S": "a"}}, {"id": {"S": "a"}, "b": {"B": b"x"}}])
@pytest.mark.parametrize("condition", ["attribute_exists(id) AND", "size(", "#", "id = :missing"])
def test_what_moto_cannot_parse_is_a_validation_error(
    mixed: tuple[DynamoDBClient, str], item: Any, condition: str
) -> None:
    """Never a traceback with status 500."""
    client, table = mixed

    with pytest.raises(ClientError) as raised:
        client.put_item(TableName=table, Item=item, ConditionExpression=condition)

    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_what_other_services_raise_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS clients see a failure of the service."""

    def fail(*_: object) -> None:
        raise KeyError("TopicArn")

    monkeypatch.setattr("moto.sns.models.SNSBackend.list_topics", fail)
    with engine(Faults()) as address:
        sns = SESSION.client("sns", endpoint_url=address, config=ONE_TRY)

        with pytest.raises(ClientError) as raised:
            sns.list_topics()

    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


LIST_TABLES = request_head(
    "POST / HTTP/1.1",
    "Host: localhost",
    f"Authorization: {SIGNED.format(service='dynamodb').replace('ANYKEY', 'local')}",
    "X-Amz-Target: DynamoDB_20120810.ListTables",
    "Content-Length: 2",
)


@contextmanager
def opened(address: str) -> Iterator[socket.socket]:
    """Open a socket to an engine within the block."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        yield connection


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nX: ", LIST_TABLES, LIST_TABLES + b"{"])
def test_a_socket_without_a_whole_request_is_dropped_in_time(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A first one, and a later one on the same socket."""
    monkeypatch.setattr(engine_socket, "REQUEST_TIMEOUT", 0.2)
    with engine(Faults()) as address:
        with opened(address) as first:
            first.sendall(sent)
            assert drained(first) == b""
        with opened(address) as kept:
            kept.sendall(LIST_TABLES + b"{}" + (sent or b"P"))
            assert drained(kept).startswith(b"HTTP/1.1 200 ")


def test_a_client_may_pause_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS clients keep a connection, and the next request on it may come late."""
    monkeypatch.setattr(engine_socket, "REQUEST_TIMEOUT", 0.2)
    with engine(Faults()) as address, opened(address) as kept:
        for _ in range(2):
            with opened(address) as idle:
                kept.sendall(LIST_TABLES + b"{}")
                assert answered(kept).startswith(b"HTTP/1.1 200 ")

                assert drained(idle) == b""


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused_as_dynamodb_does(body: bytes) -> None:
    headers = {
        "Authorization": SIGNED.format(service="dynamodb").replace("ANYKEY", "local"),
        "X-Amz-Target": "DynamoDB_20120810.GetItem",
    }
    with engine(Faults()) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE)
        with closing(connection):
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()

            assert answer.status == 400
            assert b"SerializationException" in answer.read()


def test_a_request_whose_client_leaves_before_its_end_is_not_carried_out() -> None:
    """A part of a message must not be published."""
    signed = SIGNED.format(service="sns").replace("ANYKEY", "local")
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"authorization", signed.encode()),
            (b"content-type", b"application/x-www-form-urlencoded"),
        ],
    }
    part = {"type": "http.request", "body": b"Action=CreateTopic&Name=par", "more_body": True}
    messages = iter([part, {"type": "http.disconnect"}])
    sent = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Engine(Faults(), Access(), {"local"})(scope, receive, send))

    assert sent == []
