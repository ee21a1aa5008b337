"""A notification reaches its clients: real clients, the local gateway and its SNS."""

import asyncio
import http.client
import json
import math
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from websockets.asyncio.client import ClientConnection

from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.handlers.notify import RESERVE_S
from chalicelib.services.delivery import CONCURRENCY
from tests.support.clients import AT_ONCE, begun_handshake, leave, opened
from tests.support.gateway import PATIENCE_S, Gateway, age, serving

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
PING = '{"action": "ping"}'
OUTCOMES = ("delivered", "gone", "failed", "skipped")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    project = tmp_path_factory.mktemp("shared") / "project"
    with serving(project, "--environments=4") as gateway:
        yield gateway


@pytest.fixture
def shared(running: Gateway) -> Iterator[Gateway]:
    """Return the shared gateway. After the test, all its connections have ended."""
    yield running
    running.wait(lambda: len(running.logged("disconnected")) == len(running.logged("connected")))
    assert running.rows() == set()


def publish(gateway: Gateway, message: str, subject: str = "", client_id: Any = None) -> str:
    """Publish a message to all clients, one or a list, and return its id."""
    sns = gateway.client("sns")
    arguments: dict[str, Any] = {"Subject": subject} if subject else {}
    if client_id is not None:
        kind, value = "String", client_id
        if isinstance(client_id, list):
            kind, value = "String.Array", json.dumps(client_id)
        attribute = {"DataType": kind, "StringValue": value}
        arguments["MessageAttributes"] = {"clientId": attribute}
    message_id: str = sns.publish(TopicArn=TOPIC, Message=message, **arguments)["MessageId"]
    return message_id


def reports(gateway: Gateway, message_id: str) -> list[dict[str, Any]]:
    """Wait until a notification is delivered, and return the report of each invocation."""

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.logged("notified") if line["id"] == message_id]

    gateway.wait(lambda: any(not report["handedOn"] for report in found()))
    return found()


def notified(gateway: Gateway, *arguments: Any) -> list[dict[str, Any]]:
    """Publish a message and return the reports of its delivery."""
    return reports(gateway, publish(gateway, *arguments))


async def received(client: ClientConnection) -> list[Any]:
    """Return what a client has received so far: everything before the answer to its ping."""
    await client.send(PING)
    messages: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while not messages or messages[-1]["type"] != "pong":
            messages.append(json.loads(await client.recv()))
    return messages[:-1]


async def received_by_all(clients: Sequence[ClientConnection]) -> list[list[Any]]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(client: ClientConnection) -> list[Any]:
        async with places:
            return await received(client)

    return await asyncio.gather(*(one(client) for client in clients))


def texts(everything: list[list[Any]]) -> list[list[Any]]:
    """Return the messages of each client."""
    return [[each["message"] for each in messages] for messages in everything]


def without_place(envelope: dict[str, Any]) -> dict[str, Any]:
    """Take the fields of the history out of an envelope, as a client that does not know them."""
    for name in ("stream", "seq", "prev", "recordedAt"):
        envelope.pop(name, None)
    return envelope


@pytest.mark.proof
def test_the_printed_command_notifies_each_of_300_clients_once(shared: Gateway) -> None:
    command = shared.found(r"^ +notify +(.*)")

    async def broadcast() -> list[list[Any]]:
        clients = await opened(shared.url, 300)
        await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", command], check=True)
        await asyncio.to_thread(shared.wait, lambda: bool(shared.logged("notified")))
        everything = await received_by_all(clients)
        await leave(clients)
        return everything

    before_ms = time.time() * 1000
    everything = asyncio.run(broadcast())

    [report] = shared.logged("notified")
    [envelope] = everything[0]
    assert everything == [[envelope]] * 300
    assert before_ms - 1000 < envelope.pop("sentAt") < time.time() * 1000
    assert envelope.pop("id") == report["id"]
    assert without_place(envelope) == {"type": "notification", "subject": None, "message": "Hello"}
    assert [report[outcome] for outcome in OUTCOMES] == [300, 0, 0, 0]


def test_a_notification_reaches_all_connections_of_its_clients_and_no_other(
    shared: Gateway,
) -> None:
    async def notify() -> tuple[list[str], dict[str, list[list[Any]]]]:
        clients = {
            "alice": await opened(f"{shared.url}?clientId=alice", 2),
            "bob": await opened(f"{shared.url}?clientId=bob", 1),
            "unknown": await opened(shared.url, 1),
        }
        ids = []
        for number, names in enumerate(["alice", ["alice", "bob", "nobody"], None], start=1):
            message = json.dumps({"number": number})
            [report] = await asyncio.to_thread(notified, shared, message, "ü", names)
            ids.append(report["id"])
        got = {name: await received_by_all(own) for name, own in clients.items()}
        for own in clients.values():
            await leave(own)
        return ids, got

    ids, got = asyncio.run(notify())

    for_alice, for_both, for_all = (
        {"type": "notification", "id": ids[n - 1], "subject": "ü", "message": {"number": n}}
        for n in (1, 2, 3)
    )
    for message in [each for lists in got.values() for own in lists for each in own]:
        del message["sentAt"]
        without_place(message)
    assert got == {
        "alice": [[for_alice, for_both, for_all]] * 2,
        "bob": [[for_both, for_all]],
        "unknown": [[for_all]],
    }


def test_a_ping_is_answered_and_any_other_message_is_told_what_to_send(shared: Gateway) -> None:
    async def talk() -> list[Any]:
        [client] = await opened(shared.url, 1)
        answers = []
        for text in (PING, '{"action": "pong"}', "hello", "[]", "\x00" + "[" * 30_000):
            await client.send(text)
            answers.append(json.loads(await client.recv()))
        await client.close()
        return answers

    pong, *errors = asyncio.run(talk())

    assert pong.keys() == {"type", "at"}
    assert pong["type"] == "pong"
    assert abs(time.time() * 1000 - pong["at"]) < 600_000
    assert [error["type"] for error in errors] == ["error"] * 4
    assert all(error["message"].endswith('{"action": "ping"}') for error in errors)


def fill(gateway: Gateway, connection_id: str) -> None:
    """Post to a connection until the client's buffer is full."""
    address = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, PATIENCE_S)
    signature = (
        "AWS4-HMAC-SHA256 Credential=ANYKEY/20261125/us-east-1/execute-api/aws4_request, "
        "SignedHeaders=host, Signature=" + 64 * "0"
    )
    path = f"{address.path}/@connections/{quote(connection_id, safe='')}"
    for size in (100_000, 10_000, 100):
        status = 200
        while status == 200:
            connection.request("POST", path, b"x" * size, {"Authorization": signature})
            response = connection.getresponse()
            response.read()
            status = response.status
        assert status == 429
    connection.close()


@pytest.mark.proof
def test_clients_that_never_read_delay_no_other(shared: Gateway) -> None:
    """The others have the message while posts to these are still retried."""

    async def notify() -> None:
        clients = await opened(shared.url, 30)
        message_id = await asyncio.to_thread(publish, shared, "news")
        async with asyncio.timeout(PATIENCE_S):
            messages = [json.loads(await client.recv()) for client in clients]
        assert len(shared.logged("not delivered")) < 5
        assert [message["message"] for message in messages] == ["news"] * 30
        [report] = await asyncio.to_thread(reports, shared, message_id)
        assert [report[outcome] for outcome in OUTCOMES] == [30, 0, 5, 0]
        assert await received_by_all(clients) == [[]] * 30
        await leave(clients)

    with ExitStack() as sockets:
        for _ in range(5):
            client = sockets.enter_context(begun_handshake(shared.url, receive_buffer=4096))
            assert client.recv(1024).startswith(b"HTTP/1.1 101 ")
        for connection_id in shared.rows():
            fill(shared, connection_id)

        asyncio.run(notify())

    assert [line["status"] for line in shared.logged("not delivered")] == [429] * 5


def test_functions_can_be_invoked_by_name(shared: Gateway) -> None:
    """As with `aws lambda invoke`."""
    client = boto3.client("lambda", endpoint_url=shared.lambda_endpoint, region_name="us-east-1")

    def invoke(name: str, event: Any) -> Any:
        answer = client.invoke(
            FunctionName=f"incident-websocket-dev-{name}", Payload=json.dumps(event)
        )
        assert "FunctionError" not in answer
        return json.loads(answer["Payload"].read())

    async def ask() -> None:
        clients = await opened(f"{shared.url}?clientId=alice", 2)
        counts = await asyncio.to_thread(invoke, "connections", {})
        swept = await asyncio.to_thread(invoke, "sweep", {"dryRun": True})
        closed = await asyncio.to_thread(invoke, "close", {"clientId": "alice"})
        assert counts["live"] == swept["live"] == 2
        assert list(closed["connections"].values()) == ["closed"] * 2
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(each.wait_closed() for each in clients))

    asyncio.run(ask())


@pytest.mark.proof
def test_rows_of_killed_clients_are_removed_by_the_first_notification_after_the_grace_period(
    tmp_path: Path,
) -> None:
    """Within it, 410 can mean that the handshake is not over."""
    with serving(tmp_path / "project", "--drop-disconnects=1") as gateway:

        async def kill_and_notify() -> list[list[Any]]:
            staying = await opened(gateway.url, 20)
            alive = gateway.rows()
            for client in await opened(gateway.url, 10):
                client.transport.abort()
            dropped = "$disconnect of"
            await asyncio.to_thread(
                gateway.wait, lambda: sum(dropped in line for line in list(gateway.said)) == 10
            )
            [first] = await asyncio.to_thread(notified, gateway, "first")
            rows = gateway.rows()
            assert len(rows) == 30
            age(gateway, rows)
            [second] = await asyncio.to_thread(notified, gateway, "second")
            assert gateway.rows() == alive
            for report in (first, second):
                assert [report[outcome] for outcome in OUTCOMES] == [20, 10, 0, 0]
            return await received_by_all(staying)

        everything = asyncio.run(kill_and_notify())

    assert texts(everything) == [["first", "second"]] * 20
    removed = [line["orphanId"] for line in gateway.logged("orphan removed")]
    assert len(set(removed)) == len(removed) == 10


@asynccontextmanager
async def far_away(listener: socket.socket, port: int, seconds: float) -> AsyncIterator[None]:
    """Forward connections to a local port, and delay what is sent there."""
    later = asyncio.get_running_loop().call_later

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, s: float) -> None:
        while data := await reader.read(65536):
            later(s, writer.write, data)
        later(s, writer.close)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back, seconds), carry(there, writer, 0))

    async with await asyncio.start_server(forward, sock=listener):
        yield


@pytest.mark.proof
def test_a_run_out_of_time_hands_the_rest_on_and_every_client_is_notified_once(
    tmp_path: Path,
) -> None:
    """The function invokes itself through the local Lambda."""
    listener = socket.create_server(("127.0.0.1", 0))
    slow = f"http://127.0.0.1:{listener.getsockname()[1]}/dev"
    # a run has 4 s for posting, and each 1.4 s it serves as many clients as posts are in flight
    number = CONCURRENCY * 7 // 2
    timeout = math.ceil(RESERVE_S + ConnectionsApiClient.timeout) + 4
    with serving(
        tmp_path / "project",
        "--environments=4",
        settings={"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": slow},
        timeouts={"notify": timeout},
    ) as gateway:

        async def broadcast() -> tuple[list[dict[str, Any]], list[list[Any]]]:
            clients = await opened(gateway.url, number)
            async with far_away(listener, urlsplit(gateway.url).port or 0, seconds=1.4):
                runs = await asyncio.to_thread(notified, gateway, "news")
            everything = await received_by_all(clients)
            await leave(clients)
            return runs, everything

        runs, everything = asyncio.run(broadcast())

    assert texts(everything) == [["news"]] * number
    assert len(runs) > 1
    assert [run["handedOn"] for run in runs] == [True] * (len(runs) - 1) + [False]
    assert all(run["delivered"] > 0 for run in runs)
    assert sum(run["delivered"] for run in runs) == number
