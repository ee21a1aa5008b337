"""The whole system: the gateway as a process, real clients, and the rows as boto3 sees them."""

import asyncio
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import psutil
import pytest
from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.sync.client import connect as connect_and_wait

from tests.conftest import TABLE
from tests.support.gateway import PATIENCE_S, Gateway, serving


def management(gateway: Gateway) -> ApiGatewayManagementApiClient:
    """Return a client of the gateway's @connections."""
    session = boto3.Session("local", "local", region_name="us-east-1")
    endpoint = gateway.url.replace("ws://", "http://")
    return session.client("apigatewaymanagementapi", endpoint_url=endpoint)


def environment(gateway: Gateway, function: str) -> psutil.Process:
    """Return the one execution environment of a function."""
    [process] = [
        child
        for child in psutil.Process(gateway.process.pid).children()
        if child.environ().get("_HANDLER") == f"app.{function}"
    ]
    return process


def wait_for_ends(gateway: Gateway, number: int) -> None:
    """Wait until so many ends of connections have been logged."""
    gateway.wait(lambda: len(gateway.logged("disconnected")) >= number)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway of its own for a test."""
    with serving(tmp_path / "project") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for the tests that leave no connection behind."""
    with serving(tmp_path_factory.mktemp("shared") / "project") as gateway:
        yield gateway


async def close_normally(client: ClientConnection) -> None:
    """Close normally."""
    await client.close()


async def close_as_application(client: ClientConnection) -> None:
    """Close with an application's code and reason."""
    await client.close(4001, "done for today")


async def go_away(client: ClientConnection) -> None:
    """Close like a browser that leaves the page."""
    await client.close(1001)


async def close_without_status(client: ClientConnection) -> None:
    """Close with an empty close frame."""
    client.protocol.send_close()
    client.transport.write(b"".join(client.protocol.data_to_send()))
    await client.wait_closed()


async def reset(client: ClientConnection) -> None:
    """Reset the connection."""
    linger = struct.pack("ii", 1, 0)
    client.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger
    )
    client.transport.abort()


async def send_binary(client: ClientConnection) -> None:
    """Send a binary message, which the gateway refuses."""
    await client.send(b"binary")
    await client.wait_closed()


async def send_too_much(client: ClientConnection) -> None:
    """Send a frame that is too large."""
    await client.send("x" * 40_000)
    await client.wait_closed()


WAYS = {
    close_normally: 1000,
    close_as_application: 4001,
    go_away: 1001,
    close_without_status: 1005,
    reset: 1006,
    send_binary: 1003,
    send_too_much: 1009,
}


def test_a_row_exists_as_long_as_its_connection(shared: Gateway) -> None:
    """The table holds exactly the open connection, with the documented attributes."""
    with connect_and_wait(shared.url):
        [row] = shared.dynamodb().scan(TableName=TABLE)["Items"]

    ended = shared.ended(row["connectionId"]["S"])
    told = {"connectedAt", "sourceIp", "userAgent", "region", "apiId", "stage", "domainName"}
    assert row.keys() == {"connectionId", "createdAt", "ttl", "clientId"} | told
    assert row["clientId"] == {"S": "unknown"}
    assert abs(int(row["createdAt"]["N"]) - time.time() * 1000) < 600_000
    assert int(row["ttl"]["N"]) == int(row["createdAt"]["N"]) // 1000 + 24 * 3600
    assert ended["code"] == 1000
    assert shared.rows() == set()


def test_200_clients_connect_at_once_and_leave_in_different_ways(shared: Gateway) -> None:
    """Each is tracked while it is there, and each is disconnected once, with its own code."""
    ways = [list(WAYS)[number % len(WAYS)] for number in range(200)]

    async def run() -> set[str]:
        async with asyncio.timeout(PATIENCE_S):
            clients = await asyncio.gather(
                *(connect(shared.url, open_timeout=PATIENCE_S, compression=None) for _ in ways)
            )
            rows = await asyncio.to_thread(shared.rows)

            await asyncio.gather(*(way(each) for way, each in zip(ways, clients, strict=True)))
            return rows

    rows = asyncio.run(run())

    ended = [shared.ended(connection_id) for connection_id in rows]
    assert len(rows) == 200
    assert Counter(line["code"] for line in ended) == Counter(WAYS[way] for way in ways)
    assert shared.rows() == set()


def test_a_connection_that_a_back_end_deletes_loses_its_row(shared: Gateway) -> None:
    """A deletion through @connections ends like any other close."""
    with connect_and_wait(shared.url) as client:
        [connection_id] = shared.rows()

        management(shared).delete_connection(ConnectionId=connection_id)
        for _ in client:
            """Nothing comes but the end."""

    assert client.close_code == shared.ended(connection_id)["code"] == 1000
    assert shared.rows() == set()


def test_a_client_that_is_killed_loses_its_row(shared: Gateway) -> None:
    """A killed process sends no close frame, but its end is noticed."""
    with subprocess.Popen(
        [sys.executable, "-m", "websockets", shared.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as client:
        _wait(lambda: any(_is_open(shared, row) for row in shared.rows()))
        [connection_id] = shared.rows()

        client.send_signal(signal.SIGKILL)

    assert shared.ended(connection_id)["code"] == 1006
    assert shared.rows() == set()


def test_an_environment_that_is_killed_during_connect_affects_only_that_handshake(
    system: Gateway,
) -> None:
    """The handshake is refused with 502 and leaves no row; other clients are served."""
    with connect_and_wait(system.url):
        """Leave at once."""
    wait_for_ends(system, 1)
    connect_environment = environment(system, "connect")
    connect_environment.suspend()

    with _handshake(system) as refused, connect_and_wait(system.url, open_timeout=PATIENCE_S):
        connect_environment.kill()

        assert refused.recv(1024).startswith(b"HTTP/1.1 502 ")
        assert len(system.rows()) == 1
    wait_for_ends(system, 2)
    assert system.rows() == set()


def test_an_environment_that_is_killed_during_disconnect_leaves_one_row(system: Gateway) -> None:
    """`$disconnect` is not delivered again, so the row stays."""
    with connect_and_wait(system.url):
        """Leave at once."""
    wait_for_ends(system, 1)
    with connect_and_wait(system.url):
        [left] = system.rows()
        disconnect_environment = environment(system, "disconnect")
        disconnect_environment.suspend()

    _settle(system)
    with connect_and_wait(system.url):
        [other] = system.rows() - {left}
    system.ended(other)
    disconnect_environment.kill()

    assert system.rows() == {left}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_empties_the_table(tmp_path: Path, number: signal.Signals) -> None:
    """`$disconnect` runs for every connection that is open when the gateway stops."""
    with serving(tmp_path / "project") as system:

        async def run() -> list[int | None]:
            clients = [await connect(system.url) for _ in range(20)]

            os.kill(system.process.pid, number)
            await asyncio.gather(*(client.wait_closed() for client in clients))
            return [client.close_code for client in clients]

        codes = asyncio.run(run())

        assert codes == [1001] * 20
        wait_for_ends(system, 20)
        assert {line["code"] for line in system.logged("disconnected")} == {1001}
        assert system.process.wait(PATIENCE_S) == 0


def test_a_failing_dynamodb_refuses_handshakes(tmp_path: Path) -> None:
    """A connection never opens without a row."""
    with serving(tmp_path / "project", "--dynamodb-fail=1") as system:
        with _handshake(system) as refused:
            assert refused.recv(1024).startswith(b"HTTP/1.1 500 ")

        system.wait(lambda: any('"level": "ERROR"' in line for line in system.said))


@contextmanager
def _handshake(system: Gateway) -> Iterator[socket.socket]:
    match = re.fullmatch(r"ws://(.*):(\d+)/(.*)", system.url)
    assert match
    with socket.create_connection((match[1], int(match[2])), timeout=PATIENCE_S) as raw:
        raw.sendall(
            f"GET /{match[3]} HTTP/1.1\r\nHost: {match[1]}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        _settle(system)
        yield raw


def _settle(system: Gateway) -> None:
    # What was sent before has been taken up once later requests have been answered.
    for _ in range(3):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(system.url.replace("ws://", "http://"), timeout=PATIENCE_S)  # noqa: S310


def _is_open(system: Gateway, connection_id: str) -> bool:
    api = management(system)
    try:
        api.get_connection(ConnectionId=connection_id)
    except api.exceptions.GoneException:
        return False
    return True


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
