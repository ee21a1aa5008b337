"""The table is true in the end: real clients, the local gateway, its DynamoDB, the real sweep."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import websockets
from mypy_boto3_dynamodb import DynamoDBClient
from websockets.asyncio.client import ClientConnection
from websockets.sync.client import connect

import app
from chalicelib.store import SWEEP_ROW, ConnectionStore
from tests.conftest import ROOT, TABLE
from tests.support.connections import NO_DEADLINE
from tests.support.gateway import PATIENCE_S, Gateway, serving
from tests.support.surroundings import Context, tracked

AT_ONCE = 40  # handshakes
A_SWEEP = "import app; from tests.support.surroundings import Context; app.sweep({}, Context())"


Start = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Give a function that runs a gateway with options, its functions with some settings.

    The functions that a test calls itself have the same settings.
    """

    @contextmanager
    def start(*options: str, **settings: str) -> Iterator[Gateway]:
        with serving(tmp_path / "project", *options, settings=settings) as gateway:
            for name, value in (gateway.environment() | settings).items():
                monkeypatch.setenv(name, value)
            yield gateway

    return start


def sweep() -> Any:
    """Invoke the function here."""
    return app.sweep({}, Context(300))


def ids(client: DynamoDBClient) -> set[str]:
    """Give the ids of all connections that have a row."""
    pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    found = {item["connectionId"]["S"] for page in pages for item in page["Items"]}
    return found - {SWEEP_ROW}


def age(client: DynamoDBClient, connection_ids: Iterable[str], seconds: int = 61) -> None:
    """Rewrite rows as if the connections had been opened earlier, past the grace."""
    for connection_id in connection_ids:
        try:
            client.update_item(
                TableName=TABLE,
                Key={"connectionId": {"S": connection_id}},
                UpdateExpression="SET createdAt = createdAt - :ms",
                ConditionExpression="attribute_exists(connectionId)",
                ExpressionAttributeValues={":ms": {"N": str(seconds * 1000)}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            continue  # its `$disconnect` has come meanwhile


async def opened(url: str, number: int) -> list[ClientConnection]:
    """Open so many connections, side by side."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> ClientConnection:
        async with places:
            return await websockets.connect(url, open_timeout=PATIENCE_S)

    return await asyncio.gather(*(one() for _ in range(number)))


def introduce(gateway: Gateway) -> None:
    """Post to each connection that is open its id, whatever the table says."""
    endpoint = gateway.environment()["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"]
    api = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint, region_name="us-east-1")
    for line in gateway.logged("connected"):
        connection_id = line["connectionId"]
        with contextlib.suppress(api.exceptions.GoneException):
            api.post_to_connection(ConnectionId=connection_id, Data=connection_id.encode())


async def identities(gateway: Gateway, clients: Iterable[ClientConnection]) -> set[str]:
    """Give the ids of open connections, as their clients are told."""
    await asyncio.to_thread(introduce, gateway)
    async with asyncio.timeout(PATIENCE_S):
        return {str(await client.recv()) for client in clients}


async def eventually(happened: Callable[[], bool]) -> None:
    """Look again and again until something has happened that tells nobody."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(happened):
            await asyncio.sleep(0.05)


def test_fifty_racing_connects_of_one_client_end_at_its_limit_of_three(start: Start) -> None:
    """The newest three stay; what raced past `$connect` is put right by the sweep."""
    # a DynamoDB that lags has handshakes overlap, and a close meets a connection that opens
    slow = ("--environments=6", "--dynamodb-lag=100")
    with start(*slow, MAX_CONNECTIONS_PER_CLIENT="3") as gateway:
        dynamodb = gateway.dynamodb()

        async def race() -> set[str]:
            # GIVEN 50 connects that race
            clients = await opened(f"{gateway.url}?clientId=alice", 50)
            ends = [asyncio.create_task(client.wait_closed()) for client in clients]
            # WHEN the table is swept
            await asyncio.to_thread(sweep)
            # THEN 47 are closed, and their rows go
            async with asyncio.timeout(PATIENCE_S):
                for number, end in enumerate(asyncio.as_completed(ends), start=1):
                    await end
                    if number == 47:
                        break
            await eventually(lambda: len(ids(dynamodb)) <= 3)
            kept = [client for client, end in zip(clients, ends, strict=True) if not end.done()]
            names = await identities(gateway, kept)
            assert ids(dynamodb) == names
            assert {client.close_code for client in clients if client not in kept} == {1000}
            return names

        kept = asyncio.run(race())
        rows = [line["row"] for line in gateway.logged("connected")]

    assert len(rows) == 50
    newest = sorted(rows, key=lambda row: (row["createdAt"], row["connectionId"]))[-3:]
    assert kept == {row["connectionId"] for row in newest}
    causes = [line["cause"] for line in gateway.logged("disconnected")]
    assert causes.count("replaced") == 47


def test_the_table_is_exact_after_half_of_all_disconnects_were_lost(start: Start) -> None:
    """The rows left are those of the connections that are open, no more and no fewer."""
    with start("--drop-disconnects=0.5", "--environments=4") as gateway:
        dynamodb = gateway.dynamodb()

        async def lose() -> tuple[set[str], Any]:
            # GIVEN 300 connections that ended, about half of them unnoticed, and 20 that live
            staying = await opened(gateway.url, 20)
            leaving = await opened(gateway.url, 300)
            await asyncio.gather(*(client.close() for client in leaving))
            await eventually(lambda: len(ids(dynamodb)) < 20 + 210)
            unnoticed = ids(dynamodb)
            assert len(unnoticed) > 20 + 90
            await asyncio.to_thread(age, dynamodb, unnoticed)
            # WHEN the table is swept
            report = await asyncio.to_thread(sweep)
            left = ids(dynamodb)
            # THEN the rows left are those of the 20
            alive = await identities(gateway, staying)
            assert left == alive
            return alive, report

        alive, report = asyncio.run(lose())

    assert len(alive) == 20
    assert report["live"] == 20
    assert report["removed"]["gone"] >= 90
    assert report["missedDisconnectShare"] >= 90 / 110


def test_a_sweep_that_is_killed_is_finished_by_the_next(start: Start) -> None:
    """Nothing that the first has done is undone, and nothing that it has not is forgotten."""
    with start("--dynamodb-lag=20") as gateway:
        dynamodb = gateway.dynamodb()
        store = ConnectionStore(dynamodb, TABLE, NO_DEADLINE)
        # GIVEN the rows of 300 connections that ended unnoticed, and 3 connections that live
        with connect(gateway.url), connect(gateway.url), connect(gateway.url):
            alive = ids(dynamodb)
            dead = [f"dead-{number:03}=" for number in range(300)]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: store.put(tracked(name, region="us-east-1")), dead))
            age(dynamodb, alive)
            # WHEN a sweep is killed on its way
            with subprocess.Popen(
                [sys.executable, "-c", A_SWEEP],
                cwd=ROOT,
                env=os.environ | gateway.environment(),
                stdout=subprocess.DEVNULL,
            ) as sweeping:
                asyncio.run(eventually(lambda: len(ids(dynamodb)) < 303))
                sweeping.kill()
            left = ids(dynamodb)
            assert sweeping.returncode == -signal.SIGKILL
            assert 3 < len(left) < 303
            assert alive < left
            # THEN the next one does the rest
            report = sweep()
            assert ids(dynamodb) == alive

    assert report["finished"]
    assert report["removed"]["gone"] == len(left) - 3
    assert report["live"] == 3


def test_a_sweep_of_rows_that_are_being_opened_removes_none_of_them(start: Start) -> None:
    """A row is in the table before its connection is open, when a probe would say gone."""
    with start("--dynamodb-lag=250", "--environments=4") as gateway:
        dynamodb = gateway.dynamodb()

        async def open_and_sweep() -> tuple[set[str], list[Any]]:
            # GIVEN handshakes that take their time
            opening = asyncio.create_task(opened(gateway.url, 24))
            await eventually(lambda: len(ids(dynamodb)) > 0)
            # WHEN sweep follows sweep until all are open
            reports = []
            while not opening.done():
                reports.append(await asyncio.to_thread(sweep))
            names = await identities(gateway, await opening)
            await asyncio.gather(*(client.close() for client in await opening))
            return names, reports

        alive, reports = asyncio.run(open_and_sweep())
        gateway.wait(lambda: len(gateway.logged("disconnected")) == 24)

    assert len(alive) == 24
    assert any(0 < report["live"] < 24 for report in reports)
    assert [report["removed"] for report in reports] == [{"tooOld": 0, "gone": 0}] * len(reports)
    # every `$disconnect` found its row
    assert {line["connectionId"] for line in gateway.logged("disconnected")} == alive


def test_who_is_kicked_sees_1000_and_is_told_from_who_left(start: Start) -> None:
    """A close by the client's id or the connection's: the row goes and the cause is known."""
    with start() as gateway:
        dynamodb = gateway.dynamodb()
        url = gateway.url
        with (
            connect(f"{url}?clientId=alice") as first,
            connect(f"{url}?clientId=alice") as second,
            connect(f"{url}?clientId=bob") as other,
            connect(f"{url}?clientId=bob") as leaving,
        ):
            # WHEN alice is closed by name
            answer = app.close({"clientId": "alice"}, Context())
            assert list(answer["connections"].values()) == ["closed"] * 2
            for client in (first, second):
                with pytest.raises(websockets.ConnectionClosedOK):
                    client.recv(timeout=PATIENCE_S)
                assert client.close_code == 1000
            # AND one of bob's by its id, and he leaves with the other
            introduce(gateway)
            leaving.recv(timeout=PATIENCE_S)
            name = str(other.recv(timeout=PATIENCE_S))
            assert app.close({"connectionId": name}, Context()) == {"connections": {name: "closed"}}
            with pytest.raises(websockets.ConnectionClosedOK):
                other.recv(timeout=PATIENCE_S)
            leaving.close()
            gateway.wait(lambda: len(gateway.logged("disconnected")) == 4)
            # THEN the rows are gone, and the log knows who was kicked
            assert ids(dynamodb) == set()
        ended = gateway.logged("disconnected")

    assert sorted((line["clientId"], line["code"], line["cause"]) for line in ended) == [
        ("alice", 1000, "kicked"),
        ("alice", 1000, "kicked"),
        ("bob", 1000, "client_closed"),
        ("bob", 1000, "kicked"),
    ]
