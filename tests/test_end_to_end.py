"""The whole system: the gateway as a process, real clients, and the rows as boto3 sees them."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.sync.client import connect

from tests.conftest import TABLE
from tests.support.clients import begun_handshake, opened, wait
from tests.support.gateway import PATIENCE_S, Gateway, serving


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway for one test."""
    with serving(tmp_path / "project") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one gateway for the tests that leave no connection behind."""
    with serving(tmp_path_factory.mktemp("shared") / "project") as gateway:
        yield gateway


async def close_normally(client: ClientConnection) -> None:
    await client.close()


async def close_as_application(client: ClientConnection) -> None:
    await client.close(4001, "done for today")


async def leave_the_page(client: ClientConnection) -> None:
    await client.close(1001)


async def close_without_status(client: ClientConnection) -> None:
    client.protocol.send_close()
    client.transport.write(b"".join(client.protocol.data_to_send()))
    await client.wait_closed()


async def reset(client: ClientConnection) -> None:
    linger = struct.pack("ii", 1, 0)
    client.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger
    )
    client.transport.abort()


async def send_binary(client: ClientConnection) -> None:
    await client.send(b"binary")
    await client.wait_closed()


async def send_too_much(client: ClientConnection) -> None:
    await client.send("x" * 40_000)
    await client.wait_closed()


CLOSE_CODES = {
    close_normally: 1000,
    close_as_application: 4001,
    leave_the_page: 1001,
    close_without_status: 1005,
    reset: 1006,
    send_binary: 1003,
    send_too_much: 1009,
}


def environment(gateway: Gateway, function: str) -> psutil.Process:
    """Return the one execution environment of a function."""
    [process] = [
        child
        for child in psutil.Process(gateway.process.pid).children()
        if child.environ().get("_HANDLER") == f"app.{function}"
    ]
    return process


def wait_for_ends(gateway: Gateway, number: int) -> None:
    gateway.wait(lambda: len(gateway.logged("disconnected")) >= number)


def settle(gateway: Gateway) -> None:
    """Wait until requests that were sent before have been taken up: later ones are answered."""
    for _ in range(3):
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(gateway.url.replace("ws://", "http://"), timeout=PATIENCE_S)  # noqa: S310


def test_a_row_exists_as_long_as_its_connection(shared: Gateway) -> None:
    with connect(shared.url):
        [row] = shared.dynamodb().scan(TableName=TABLE)["Items"]

    ended = shared.ended(row["connectionId"]["S"])
    metadata = {"connectedAt", "sourceIp", "userAgent", "region", "apiId", "stage", "domainName"}
    assert row.keys() == {"connectionId", "createdAt", "ttl", "clientId"} | metadata
    assert row["clientId"] == {"S": "unknown"}
    assert abs(int(row["createdAt"]["N"]) - time.time() * 1000) < 600_000
    assert int(row["ttl"]["N"]) == int(row["createdAt"]["N"]) // 1000 + 24 * 3600
    assert ended["code"] == 1000
    assert shared.rows() == set()


def test_200_clients_that_leave_in_different_ways_are_each_disconnected_once(
    shared: Gateway,
) -> None:
    async def run() -> tuple[set[str], list[int]]:
        async with asyncio.timeout(PATIENCE_S):
            clients = await opened(shared.url, 200)
            rows = await asyncio.to_thread(shared.rows)
            ways = [list(CLOSE_CODES)[number % len(CLOSE_CODES)] for number in range(200)]
            await asyncio.gather(*(way(each) for way, each in zip(ways, clients, strict=True)))
            return rows, [CLOSE_CODES[way] for way in ways]

    rows, codes = asyncio.run(run())

    ended = [shared.ended(connection_id) for connection_id in rows]
    assert len(rows) == 200
    assert Counter(line["code"] for line in ended) == Counter(codes)
    assert shared.rows() == set()


def test_a_connection_that_is_closed_through_the_api_loses_its_row(shared: Gateway) -> None:
    with connect(shared.url) as client:
        [connection_id] = shared.rows()

        shared.connections_api().delete_connection(ConnectionId=connection_id)
        for _ in client:
            """Nothing arrives but the close."""

    assert client.close_code == shared.ended(connection_id)["code"] == 1000
    assert shared.rows() == set()


def test_a_client_that_is_killed_loses_its_row(shared: Gateway) -> None:
    """It sends no close frame."""
    api = shared.connections_api()

    def is_open(connection_id: str) -> bool:
        try:
            api.get_connection(ConnectionId=connection_id)
        except api.exceptions.GoneException:
            return False
        return True

    with subprocess.Popen(
        [sys.executable, "-m", "websockets", shared.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as client:
        wait(lambda: any(map(is_open, shared.rows())))
        [connection_id] = shared.rows()

        client.send_signal(signal.SIGKILL)

    assert shared.ended(connection_id)["code"] == 1006
    assert shared.rows() == set()


@pytest.mark.proof
def test_an_environment_that_is_killed_during_connect_affects_only_that_handshake(
    own: Gateway,
) -> None:
    with connect(own.url):
        """Start the two environments."""
    wait_for_ends(own, 1)
    connect_environment = environment(own, "connect")
    connect_environment.suspend()

    with begun_handshake(own.url) as refused:
        settle(own)
        with connect(own.url, open_timeout=PATIENCE_S):
            connect_environment.kill()

            assert refused.recv(1024).startswith(b"HTTP/1.1 502 ")
            assert len(own.rows()) == 1
    wait_for_ends(own, 2)
    assert own.rows() == set()


@pytest.mark.proof
def test_an_environment_that_is_killed_during_disconnect_leaves_one_row(own: Gateway) -> None:
    """`$disconnect` is not delivered again."""
    with connect(own.url):
        """Start the two environments."""
    wait_for_ends(own, 1)
    with connect(own.url):
        [left] = own.rows()
        disconnect_environment = environment(own, "disconnect")
        disconnect_environment.suspend()

    settle(own)
    with connect(own.url):
        [other] = own.rows() - {left}
    own.ended(other)
    disconnect_environment.kill()

    assert own.rows() == {left}


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_gateway_that_stops_disconnects_every_connection(
    own: Gateway, number: signal.Signals
) -> None:
    async def run() -> list[int | None]:
        clients = await opened(own.url, 20)
        os.kill(own.process.pid, number)
        await asyncio.gather(*(client.wait_closed() for client in clients))
        return [client.close_code for client in clients]

    codes = asyncio.run(run())

    assert codes == [1001] * 20
    wait_for_ends(own, 20)
    assert {line["code"] for line in own.logged("disconnected")} == {1001}
    assert own.process.wait(PATIENCE_S) == 0


@pytest.mark.proof
def test_a_dynamodb_that_fails_refuses_handshakes(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "project", "--dynamodb-fail=1") as gateway,
        begun_handshake(gateway.url) as refused,
    ):
        assert refused.recv(1024).startswith(b"HTTP/1.1 500 ")

        gateway.wait(lambda: any(line["level"] == "ERROR" for line in gateway.log))
