"""Clients whose network dies without a word: nothing is closed, nothing arrives any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

import app
from chalicelib import settings
from tests.support.clients import eventually
from tests.support.cutting import Network, network_to
from tests.support.gateway import Gateway, age, serving
from tests.support.lambda_context import Context
from tests.support.readers import Readers, node_readers, python_readers, until

pytestmark = pytest.mark.proof

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    Open = Callable[..., AbstractAsyncContextManager[Readers]]

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
SILENT_AFTER_S = 5  # less than the setting accepts, so that the tests need not wait for 90 s
PING_S = 0.5


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    project = tmp_path_factory.mktemp("silence") / "project"
    with serving(project, settings={"RECOVER_OWN": "always"}) as gateway:
        yield gateway


@pytest.fixture
def network(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Yield a network to the gateway, and have the sweep in this process use the gateway."""
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "_silent_after", lambda _: SILENT_AFTER_S)
    settings._parsed.cache_clear()
    with network_to(gateway.url) as network:
        yield network
    settings._parsed.cache_clear()


def connection_of(gateway: Gateway, client_id: str) -> str:
    """Return the id of the client's newest connection, once there is one."""

    def opened() -> list[str]:
        lines = gateway.logged("connected")
        return [line["connectionId"] for line in lines if line["row"]["clientId"] == client_id]

    gateway.wait(lambda: bool(opened()))
    return opened()[-1]


def silence_of(gateway: Gateway, connection_id: str) -> float:
    """Return for how long nothing was heard on a connection, in s."""
    answer = gateway.connections_api().get_connection(ConnectionId=connection_id)
    return time.time() - answer["LastActiveAt"].timestamp()


async def fall_silent(gateway: Gateway, connection_id: str) -> None:
    await eventually(lambda: silence_of(gateway, connection_id) > SILENT_AFTER_S)


async def sweep(gateway: Gateway, *connection_ids: str) -> Any:
    """Run the sweep when these connections are past the grace period."""
    await asyncio.to_thread(age, gateway, connection_ids)
    return await asyncio.to_thread(app.sweep, {}, Context(300))


@contextlib.asynccontextmanager
async def pinging(address: str, client_id: str) -> AsyncIterator[ClientConnection]:
    """Open a connection whose client pings all the time, as if a keep-alive were due."""
    async with connect(f"{address}?clientId={client_id}", compression=None) as client:

        async def ping() -> None:
            while True:
                await client.send('{"action": "ping"}')
                await asyncio.sleep(PING_S)

        task = asyncio.create_task(ping())
        try:
            yield client
        finally:
            task.cancel()


@pytest.mark.parametrize("opened", [python_readers, node_readers])
def test_a_client_whose_network_is_cut_is_closed_and_misses_nothing(
    gateway: Gateway, network: Network, opened: Open
) -> None:
    """Until then it looks alive: a post to it is answered 200."""
    name, other = f"cut-{opened.__name__}", f"well-{opened.__name__}"

    async def run() -> None:
        async with opened(network.address, [name]) as readers, pinging(gateway.url, other):
            told = readers.told[name]
            await until(lambda: told.state == "live")
            cut_off, well = connection_of(gateway, name), connection_of(gateway, other)

            network.cut()
            before = len(gateway.logged("notified"))
            await asyncio.to_thread(
                gateway.client("sns").publish, TopicArn=TOPIC, Message="while it was cut"
            )
            await until(lambda: len(gateway.logged("notified")) > before)
            assert gateway.logged("notified")[-1]["failed"] == 0
            await fall_silent(gateway, cut_off)
            report = await sweep(gateway, cut_off, well)

            ended = await asyncio.to_thread(gateway.ended, cut_off)
            assert (report["silent"], ended["cause"]) == (1, "silent")
            assert silence_of(gateway, well) < SILENT_AFTER_S
            network.restore()
            await until(lambda: len(told.notifications) == 1 and told.state == "live")
        assert told.goodbyes == []
        assert told.gaps == []

    asyncio.run(run())


def test_a_client_that_is_heard_is_not_silent(gateway: Gateway, network: Network) -> None:
    """Nothing arrives at it: it notices that by itself, by the pongs that it misses."""

    async def run() -> None:
        async with pinging(network.address, "deaf"):
            connection_id = await asyncio.to_thread(connection_of, gateway, "deaf")
            network.cut(to_server=False)

            report = await sweep(gateway, connection_id)

            assert report["silent"] == 0
            assert silence_of(gateway, connection_id) < SILENT_AFTER_S
            network.restore()

    asyncio.run(run())


def test_posts_keep_no_silent_client(gateway: Gateway, network: Network) -> None:
    """Only what the client says shows that it is there."""

    async def run() -> None:
        async with connect(f"{network.address}?clientId=posted", compression=None) as client:
            connection_id = await asyncio.to_thread(connection_of, gateway, "posted")
            network.cut()

            def post_and_look() -> bool:
                gateway.connections_api().post_to_connection(
                    ConnectionId=connection_id, Data=json.dumps({"type": "other"}).encode()
                )
                return silence_of(gateway, connection_id) > SILENT_AFTER_S

            await eventually(post_and_look)
            report = await sweep(gateway, connection_id)

            assert report["silent"] == 1
            ended = await asyncio.to_thread(gateway.ended, connection_id)
            assert ended["cause"] == "silent"
            network.restore()
            await client.wait_closed()

    asyncio.run(run())
