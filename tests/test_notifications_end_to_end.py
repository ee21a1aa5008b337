"""A notification reaches whom it is meant for: real clients, the local gateway, its SNS."""

import asyncio
import http.client
import json
import math
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from websockets.asyncio.client import ClientConnection

from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.handlers.notify import RESERVE_S
from chalicelib.services.delivery import CONCURRENCY
from tests.support.gateway import PATIENCE_S, Gateway, serving
from tests.test_sweep_end_to_end import AT_ONCE, age, ids, opened

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
MANAGEMENT = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"
PING = '{"action": "ping"}'
Start = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Give a function that runs a gateway with options.

    `timeout` (s) is that of the function `notify`; `settings` are settings of all functions.
    """

    @contextmanager
    def start(
        *options: str, timeout: int | None = None, settings: dict[str, str] | None = None
    ) -> Iterator[Gateway]:
        timeouts = {"notify": timeout} if timeout else {}
        project = tmp_path / "project"
        with serving(project, *options, settings=settings, timeouts=timeouts) as gateway:
            yield gateway

    return start


def publish(gateway: Gateway, message: str, subject: str = "", client_id: Any = None) -> str:
    """Publish a message, to all or to one client or a list of them; give its id."""
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


def notified(gateway: Gateway, number: int = 1) -> list[dict[str, Any]]:
    """Wait until so many notifications are delivered, and give each function's report."""

    def ended() -> bool:
        reports = gateway.logged("notified")
        return sum(not report["handedOn"] for report in reports) == number

    gateway.wait(ended)
    return gateway.logged("notified")


async def received(client: ClientConnection) -> list[Any]:
    """Give what a client has received so far: all that came before the answer to its ping."""
    await client.send(PING)
    messages: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while not messages or messages[-1]["type"] != "pong":
            messages.append(json.loads(await client.recv()))
    return messages[:-1]


async def received_by_all(clients: Sequence[ClientConnection]) -> list[list[Any]]:
    """Give what each client has received so far."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(client: ClientConnection) -> list[Any]:
        async with places:
            return await received(client)

    return await asyncio.gather(*(one(client) for client in clients))


async def leave(clients: Sequence[ClientConnection]) -> None:
    """Close connections."""
    await asyncio.gather(*(client.close() for client in clients))


def test_the_printed_one_liner_reaches_each_of_500_clients_once(start: Start) -> None:
    """What `make run` says to try shows up in every connected client."""
    with start("--environments=4") as gateway:
        command = gateway.found(r"^ +notify +(.*)")

        async def broadcast() -> list[list[Any]]:
            # GIVEN 500 clients
            clients = await opened(gateway.url, 500)
            # WHEN the command is run
            await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", command], check=True)
            await asyncio.to_thread(notified, gateway)
            everything = await received_by_all(clients)
            await leave(clients)
            return everything

        before = time.time() * 1000
        everything = asyncio.run(broadcast())
        [report] = gateway.logged("notified")

    # THEN each has received it once, in its envelope
    assert len(everything) == 500
    [envelope] = everything[0]
    assert everything == [[envelope]] * 500
    assert before - 1000 < envelope.pop("sentAt") < time.time() * 1000
    assert envelope.pop("id") == report["id"]
    assert envelope == {"type": "notification", "subject": None, "message": "Hello"}
    outcomes = {name: report[name] for name in ("delivered", "gone", "failed", "skipped")}
    assert outcomes == {"delivered": 500, "gone": 0, "failed": 0, "skipped": 0}


def test_a_notification_for_clients_reaches_all_of_their_connections_and_no_other(
    start: Start,
) -> None:
    """One client has two connections; a list names two clients; without names it is for all."""
    with start() as gateway:

        async def targeted() -> tuple[list[str], dict[str, list[list[Any]]]]:
            # GIVEN alice twice, bob once, and somebody unknown
            of = {
                "alice": await opened(f"{gateway.url}?clientId=alice", 2),
                "bob": await opened(f"{gateway.url}?clientId=bob", 1),
                "unknown": await opened(gateway.url, 1),
            }
            # WHEN one notification is for alice, one for both, and one for everybody
            published = []
            for number, names in enumerate(["alice", ["alice", "bob", "nobody"], None], start=1):
                message = json.dumps({"number": number})
                published.append(await asyncio.to_thread(publish, gateway, message, "ü", names))
                await asyncio.to_thread(notified, gateway, number)
            got = {name: await received_by_all(clients) for name, clients in of.items()}
            for clients in of.values():
                await leave(clients)
            return published, got

        published, got = asyncio.run(targeted())

    # THEN each has received what is for it, as JSON, under the id of the message
    for_alice, for_both, for_all = (
        {"type": "notification", "id": published[number - 1], "subject": "ü"}
        | {"message": {"number": number}}
        for number in (1, 2, 3)
    )
    for messages in [each for lists in got.values() for each in lists]:
        for message in messages:
            del message["sentAt"]
    assert got == {
        "alice": [[for_alice, for_both, for_all]] * 2,
        "bob": [[for_both, for_all]],
        "unknown": [[for_all]],
    }


def test_a_client_is_answered_and_told_what_is_accepted(start: Start) -> None:
    """A ping has its pong with the time; anything else is told what to send."""
    with start() as gateway:

        async def talk() -> list[Any]:
            [client] = await opened(gateway.url, 1)
            answers = []
            for text in (PING, '{"action": "pong"}', "hello", "[]", "\x00" + "[" * 30_000):
                await client.send(text)
                answers.append(json.loads(await client.recv()))
            await leave([client])
            return answers

        pong, *errors = asyncio.run(talk())

    assert pong.keys() == {"type", "at"}
    assert pong["type"] == "pong"
    assert abs(time.time() * 1000 - pong["at"]) < 600_000
    assert len(errors) == 4
    for error in errors:
        assert error["type"] == "error"
        assert error["message"].endswith('not accepted; expected {"action": "ping"}')


def test_killed_clients_become_gone_and_their_rows_go_after_the_grace(start: Start) -> None:
    """A gone row stays while its handshake might not be over, and goes when it must be."""
    with start("--drop-disconnects=1") as gateway:
        dynamodb = gateway.dynamodb()

        async def kill() -> list[list[Any]]:
            # GIVEN 20 clients, and 10 that are killed without anybody noticing
            staying = await opened(gateway.url, 20)
            alive = ids(dynamodb)
            for client in await opened(gateway.url, 10):
                client.transport.abort()
            unnoticed = "dropped $disconnect of"
            await asyncio.to_thread(
                gateway.wait, lambda: sum(unnoticed in line for line in list(gateway.said)) == 10
            )
            # WHEN somebody notifies within the grace, and after it
            await asyncio.to_thread(publish, gateway, "first")
            await asyncio.to_thread(notified, gateway)
            rows = ids(dynamodb)
            assert len(rows) == 30
            age(dynamodb, rows)
            await asyncio.to_thread(publish, gateway, "second")
            await asyncio.to_thread(notified, gateway, 2)
            # THEN the rows go the second time, and only those
            assert ids(dynamodb) == alive
            return await received_by_all(staying)

        everything = asyncio.run(kill())
        reports = gateway.logged("notified")
        removed = gateway.logged("orphan removed")

    assert [[each["message"] for each in messages] for messages in everything] == [
        ["first", "second"]
    ] * 20
    assert [(report["delivered"], report["gone"]) for report in reports] == [(20, 10)] * 2
    assert len({line["orphanId"] for line in removed}) == len(removed) == 10


def stuck(url: str) -> socket.socket:
    """Open a connection whose client never reads again."""
    address = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_S)
    client.connect((address.hostname, address.port))
    client.sendall(
        f"GET {address.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(1024).startswith(b"HTTP/1.1 101 ")
    return client


def fill(url: str, connection_id: str) -> None:
    """Post to a connection until no more fits into the client's buffer."""
    address = urlsplit(url)
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


def test_clients_that_never_read_delay_nobody_else(start: Start) -> None:
    """Everybody else has the message while they are still being tried; their rows stay."""
    with start() as gateway, ExitStack() as sockets:
        dynamodb = gateway.dynamodb()
        # GIVEN 5 clients that take nothing any more
        for _ in range(5):
            sockets.enter_context(stuck(gateway.url))
        for connection_id in ids(dynamodb):
            fill(gateway.url, connection_id)

        async def notify() -> None:
            clients = await opened(gateway.url, 30)
            # WHEN somebody notifies
            await asyncio.to_thread(publish, gateway, "news")
            # THEN 30 others have it before the last of the 5 is given up
            async with asyncio.timeout(PATIENCE_S):
                messages = [json.loads(await client.recv()) for client in clients]
            assert len(gateway.logged("not delivered")) < 5
            assert [message["message"] for message in messages] == ["news"] * 30
            [report] = await asyncio.to_thread(notified, gateway)
            assert (report["delivered"], report["failed"], report["gone"]) == (30, 5, 0)
            assert await received_by_all(clients) == [[]] * 30
            await leave(clients)

        asyncio.run(notify())
        assert len(gateway.logged("not delivered")) == 5
        assert {line["status"] for line in gateway.logged("not delivered")} == {429}


@asynccontextmanager
async def far_away(listener: socket.socket, port: int, seconds: float) -> AsyncIterator[None]:
    """Forward connections to a port here, with a latency for whatever is sent there."""
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


def test_what_a_run_has_no_time_for_is_handed_on_and_everybody_is_served_once(
    start: Start,
) -> None:
    """A function whose time is up invokes itself with the rest, through the local Lambda."""
    listener = socket.create_server(("127.0.0.1", 0))
    slow = f"http://127.0.0.1:{listener.getsockname()[1]}/dev"
    # GIVEN a run that has 4 s, and each 1.4 s serves as many clients as it has lanes
    number = CONCURRENCY * 7 // 2
    timeout = math.ceil(RESERVE_S + ConnectionsApiClient.timeout) + 4
    with start("--environments=4", timeout=timeout, settings={MANAGEMENT: slow}) as gateway:
        port = urlsplit(gateway.url).port or 0

        async def broadcast() -> tuple[list[dict[str, Any]], list[list[Any]]]:
            clients = await opened(gateway.url, number)
            async with far_away(listener, port, seconds=1.4):
                # WHEN somebody notifies
                await asyncio.to_thread(publish, gateway, "news")
                reports = await asyncio.to_thread(notified, gateway)
            everything = await received_by_all(clients)
            await leave(clients)
            return reports, everything

        reports, everything = asyncio.run(broadcast())

    # THEN several runs have served everybody once
    texts = [[each["message"] for each in messages] for messages in everything]
    assert texts == [["news"]] * number
    assert [report["handedOn"] for report in reports] == [True] * (len(reports) - 1) + [False]
    assert len(reports) > 1
    assert all(report["delivered"] > 0 for report in reports)
    assert sum(report["delivered"] for report in reports) == number
    assert {report["id"] for report in reports} == {everything[0][0]["id"]}


def test_functions_can_be_invoked_by_name(start: Start) -> None:
    """Who is connected, as `aws lambda invoke` would ask it here."""
    with start() as gateway:
        client = boto3.client(
            "lambda", endpoint_url=gateway.lambda_endpoint, region_name="us-east-1"
        )

        async def ask() -> tuple[Any, Any]:
            clients = await opened(f"{gateway.url}?clientId=alice", 2)

            def invoke(name: str, event: Any) -> Any:
                answer = client.invoke(
                    FunctionName=f"incident-websocket-dev-{name}", Payload=json.dumps(event)
                )
                assert "FunctionError" not in answer
                return json.loads(answer["Payload"].read())

            # WHEN the functions are invoked
            counts = await asyncio.to_thread(invoke, "connections", {})
            swept = await asyncio.to_thread(invoke, "sweep", {"dryRun": True})
            closed = await asyncio.to_thread(invoke, "close", {"clientId": "alice"})
            # THEN they know the clients and close them
            assert counts["live"] == swept["live"] == 2
            assert list(closed["connections"].values()) == ["closed"] * 2
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(each.wait_closed() for each in clients))
            return counts, closed

        asyncio.run(ask())
