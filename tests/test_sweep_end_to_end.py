"""The sweep makes the table true: real clients, the local gateway and its DynamoDB."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.sync.client import connect

import app
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from tests.conftest import ROOT, TABLE
from tests.support.clients import eventually, leave, opened, wait
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.gateway import PATIENCE_S, Gateway, age, serving
from tests.support.lambda_context import Context

A_SWEEP = "import app; from tests.support.lambda_context import Context; app.sweep({}, Context())"
Start = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return a function that runs a gateway with options and settings.

    The functions that a test calls in this process have the same settings.
    """

    @contextmanager
    def start(*options: str, **settings: str) -> Iterator[Gateway]:
        with serving(tmp_path / "project", *options, settings=settings) as gateway:
            for name, value in (gateway.environment() | settings).items():
                monkeypatch.setenv(name, value)
            yield gateway

    return start


def sweep() -> Any:
    return app.sweep({}, Context(300))


def introduce(gateway: Gateway, number: int) -> None:
    """Post its id to each open one of the `number` connections, whatever the table says.

    A line of the log may come after the handshake that it is about.
    """
    gateway.wait(lambda: len(gateway.logged("connected")) == number)
    api = gateway.connections_api()
    for line in gateway.logged("connected"):
        connection_id = line["connectionId"]
        with contextlib.suppress(api.exceptions.GoneException):
            api.post_to_connection(ConnectionId=connection_id, Data=connection_id.encode())


async def identities(
    gateway: Gateway, number: int, clients: Iterable[ClientConnection]
) -> set[str]:
    """Return the ids of the open ones of the `number` connections, as clients receive them."""
    await asyncio.to_thread(introduce, gateway, number)
    async with asyncio.timeout(PATIENCE_S):
        return {str(await client.recv()) for client in clients}


@pytest.mark.proof
def test_fifty_racing_connects_of_one_client_end_at_its_limit_of_three(start: Start) -> None:
    """The newest three stay; the sweep closes those that raced past `$connect`."""
    # with a slow DynamoDB, handshakes overlap and a close meets a connection that opens
    slow = ("--environments=6", "--dynamodb-lag=100")
    with start(*slow, MAX_CONNECTIONS_PER_CLIENT="3") as gateway:

        async def race() -> set[str]:
            clients = await opened(f"{gateway.url}?clientId=alice", 50)
            ends = [asyncio.create_task(client.wait_closed()) for client in clients]

            await asyncio.to_thread(sweep)

            async with asyncio.timeout(PATIENCE_S):
                for number, end in enumerate(asyncio.as_completed(ends), start=1):
                    await end
                    if number == 47:
                        break
            await eventually(lambda: len(gateway.rows()) <= 3)
            kept = [client for client, end in zip(clients, ends, strict=True) if not end.done()]
            alive = await identities(gateway, 50, kept)
            assert gateway.rows() == alive
            assert {client.close_code for client in clients if client not in kept} == {1000}
            return alive

        alive = asyncio.run(race())
        rows = [line["row"] for line in gateway.logged("connected")]

    assert len(rows) == 50
    newest = sorted(rows, key=lambda row: (row["createdAt"], row["connectionId"]))[-3:]
    assert alive == {row["connectionId"] for row in newest}
    causes = [line["cause"] for line in gateway.logged("disconnected")]
    assert causes.count("replaced") == 47


@pytest.mark.proof
def test_after_half_of_the_disconnects_were_lost_the_sweep_leaves_the_open_connections(
    start: Start,
) -> None:
    with start("--drop-disconnects=0.5", "--environments=4") as gateway:

        async def lose_and_sweep() -> Any:
            staying = await opened(gateway.url, 20)
            await leave(await opened(gateway.url, 200))
            # five standard deviations of what chance can drop
            await eventually(lambda: len(gateway.rows()) < 20 + 136)
            left = await asyncio.to_thread(gateway.rows)
            assert len(left) > 20 + 64
            await asyncio.to_thread(age, gateway, left)

            report = await asyncio.to_thread(sweep)

            rows = gateway.rows()
            assert len(rows) == 20
            assert rows == await identities(gateway, 220, staying)
            return report

        report = asyncio.run(lose_and_sweep())

    assert report["live"] == 20
    assert report["removed"]["gone"] > 64 - 4
    assert report["missedDisconnectShare"] > 60 / 80


@pytest.mark.proof
def test_the_next_sweep_finishes_a_sweep_that_was_killed(start: Start) -> None:
    with start("--dynamodb-lag=20") as gateway:
        store = ConnectionStore(gateway.dynamodb(), TABLE, NO_DEADLINE)
        with connect(gateway.url), connect(gateway.url), connect(gateway.url):
            alive = gateway.rows()
            dead = [f"dead-{number:03}=" for number in range(300)]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda name: store.put(tracked(name, region="us-east-1")), dead))
            age(gateway, alive)
            with subprocess.Popen(
                [sys.executable, "-c", A_SWEEP],
                cwd=ROOT,
                env=os.environ | gateway.environment(),
                stdout=subprocess.DEVNULL,
            ) as killed:
                wait(lambda: len(gateway.rows()) < 303)
                killed.kill()
            left = gateway.rows()
            assert killed.returncode == -signal.SIGKILL
            SweepProgress(
                gateway.dynamodb(), TABLE, NO_DEADLINE
            ).end()  # as when the timeout of the killed run has passed
            assert 3 < len(left) < 303
            assert alive < left

            report = sweep()

            assert gateway.rows() == alive

    assert report["finished"]
    assert report["removed"]["gone"] == len(left) - 3
    assert report["live"] == 3


@pytest.mark.proof
def test_a_sweep_removes_no_row_of_a_connection_that_is_being_opened(start: Start) -> None:
    """Its row is in the table before a probe would find it open."""
    with start("--dynamodb-lag=250", "--environments=4") as gateway:

        async def open_and_sweep() -> tuple[set[str], list[Any]]:
            opening = asyncio.create_task(opened(gateway.url, 24))
            await eventually(lambda: len(gateway.rows()) > 0)
            reports = []
            while not opening.done():
                reports.append(await asyncio.to_thread(sweep))
            clients = await opening
            alive = await identities(gateway, 24, clients)
            await leave(clients)
            return alive, reports

        alive, reports = asyncio.run(open_and_sweep())
        gateway.wait(lambda: len(gateway.logged("disconnected")) == 24)

    assert len(alive) == 24
    assert any(0 < report["live"] < 24 for report in reports)
    assert [report["removed"] for report in reports] == [{"tooOld": 0, "gone": 0}] * len(reports)
    # every `$disconnect` found its row
    assert {line["connectionId"] for line in gateway.logged("disconnected")} == alive


@pytest.mark.proof
def test_a_kicked_client_sees_1000_and_the_log_tells_it_from_one_that_left(start: Start) -> None:
    with start() as gateway:
        alice, bob = (f"{gateway.url}?clientId={name}" for name in ("alice", "bob"))
        with connect(alice) as first, connect(alice) as second:
            answer = app.close({"clientId": "alice"}, Context())

            assert list(answer["connections"].values()) == ["closed"] * 2
            for client in (first, second):
                assert json.loads(client.recv(timeout=PATIENCE_S))["reason"] == "kicked"
                with pytest.raises(websockets.ConnectionClosedOK):
                    client.recv(timeout=PATIENCE_S)
                assert client.close_code == 1000
        with connect(bob) as kicked, connect(bob) as leaving:
            introduce(gateway, 4)
            leaving.recv(timeout=PATIENCE_S)
            name = str(kicked.recv(timeout=PATIENCE_S))

            answer = app.close({"connectionId": name}, Context())

            assert answer == {"connections": {name: "closed"}}
            assert json.loads(kicked.recv(timeout=PATIENCE_S))["reason"] == "kicked"
            with pytest.raises(websockets.ConnectionClosedOK):
                kicked.recv(timeout=PATIENCE_S)
        gateway.wait(lambda: len(gateway.logged("disconnected")) == 4)
        assert gateway.rows() == set()
        ended = gateway.logged("disconnected")

    assert sorted((line["clientId"], line["code"], line["cause"]) for line in ended) == [
        ("alice", 1000, "kicked"),
        ("alice", 1000, "kicked"),
        ("bob", 1000, "client_closed"),
        ("bob", 1000, "kicked"),
    ]
