"""Goodbyes over real sockets: they come before the close, and both client libraries obey them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from chalicelib import settings
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.goodbye import goodbye
from chalicelib.services.closing import Closing
from chalicelib.store import ConnectionStore
from chalicelib.telemetry.logs import Log
from tests.support.connections import NO_DEADLINE
from tests.support.gateway import PATIENCE_S, Gateway, serving
from tests.support.readers import Readers, node_readers, python_readers, until

pytestmark = pytest.mark.proof

Open = Callable[..., AbstractAsyncContextManager[Readers]]
LIBRARIES = pytest.mark.parametrize("opened", [python_readers, node_readers])
# Of each library: to come back at once, and to replace a connection every second.
AT_ONCE: dict[Open, dict[str, Any]] = {
    python_readers: {"spread_seconds": 0.1},
    node_readers: {"spreadSeconds": 0.1},
}
RENEWING: dict[Open, dict[str, Any]] = {
    python_readers: {"renewal_seconds": (1, 1)},
    node_readers: {"renewalMinutes": [1 / 60, 1 / 60]},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve the project with a limit of one connection for each client."""
    chosen = {"RECOVER_OWN": "always", "MAX_CONNECTIONS_PER_CLIENT": "1"}
    with serving(tmp_path_factory.mktemp("goodbye") / "project", settings=chosen) as gateway:
        yield gateway


async def close(gateway: Gateway, **request: Any) -> list[str]:
    """Invoke the function `close` and return the outcomes."""
    lambda_ = gateway.client("lambda", gateway.lambda_endpoint)
    answer = await asyncio.to_thread(
        lambda_.invoke,
        FunctionName="incident-websocket-dev-close",
        Payload=json.dumps(request).encode(),
    )
    return list(json.loads(answer["Payload"].read())["connections"].values())


def opened_by(gateway: Gateway, client_id: str) -> list[str]:
    """Return the ids of the connections that a client has opened so far, oldest first."""
    lines = gateway.logged("connected")
    return [line["connectionId"] for line in lines if line["row"]["clientId"] == client_id]


def fields_of(told: Any) -> dict[str, Any]:
    """Return the fields of a goodbye, as either library tells it."""
    return told if isinstance(told, dict) else vars(told)


@LIBRARIES
def test_a_kicked_client_does_not_return(gateway: Gateway, opened: Open) -> None:
    name = f"kicked-{opened.__name__}"

    async def run() -> None:
        async with opened(gateway.url, [name], **AT_ONCE[opened]) as readers:
            told = readers.told[name]
            await until(lambda: told.state == "live")

            assert await close(gateway, clientId=name, message="Bye") == ["closed"]

            await until(lambda: told.state == "closed")
        [said] = map(fields_of, told.goodbyes)
        assert (said["reason"], said["message"], said["reconnect"]) == ("kicked", "Bye", False)
        [connection_id] = opened_by(gateway, name)
        ended = await asyncio.to_thread(gateway.ended, connection_id)
        assert (ended["cause"], ended["code"]) == ("kicked", 1000)

    asyncio.run(run())


@LIBRARIES
def test_a_client_that_may_come_back_does(gateway: Gateway, opened: Open) -> None:
    """As when a stage is drained."""
    name = f"drained-{opened.__name__}"

    async def run() -> None:
        async with opened(gateway.url, [name], **AT_ONCE[opened]) as readers:
            told = readers.told[name]
            await until(lambda: told.state == "live")

            assert await close(gateway, clientId=name, reconnect=True) == ["closed"]

            await until(lambda: len(opened_by(gateway, name)) == 2 and told.state == "live")
        assert [fields_of(said)["reconnect"] for said in told.goodbyes] == [True]

    asyncio.run(run())


@LIBRARIES
def test_two_tabs_never_fight_over_a_limit_of_one(gateway: Gateway, opened: Open) -> None:
    """The older one stays away, so that the newer one is never closed."""
    name = f"tabs-{opened.__name__}"

    async def run() -> None:
        async with opened(gateway.url, [name], **AT_ONCE[opened]) as older:
            await until(lambda: older.told[name].state == "live")
            async with opened(gateway.url, [name], **AT_ONCE[opened]) as newer:
                await until(lambda: newer.told[name].state == "live")
                await until(lambda: older.told[name].state == "closed")
                assert newer.told[name].goodbyes == []
                assert newer.told[name].state == "live"
        [said] = map(fields_of, older.told[name].goodbyes)
        assert (said["reason"], said["reconnect"]) == ("replaced", False)
        await until(lambda: len(opened_by(gateway, name)) == 2)
        first, _second = opened_by(gateway, name)
        ended = await asyncio.to_thread(gateway.ended, first)
        assert ended["cause"] == "replaced"

    asyncio.run(run())


@LIBRARIES
def test_a_client_that_replaces_its_own_connection_stays(gateway: Gateway, opened: Open) -> None:
    """The goodbye to its old connection does not concern the new one."""
    name = f"renewing-{opened.__name__}"

    async def run() -> None:
        async with opened(gateway.url, [name], **AT_ONCE[opened] | RENEWING[opened]) as readers:
            told = readers.told[name]
            await until(lambda: len(opened_by(gateway, name)) >= 4)
            await until(lambda: told.state == "live")
        assert told.goodbyes == []

    asyncio.run(run())


@pytest.mark.parametrize("cause", [Cause.KICKED, Cause.REPLACED, Cause.EXPIRED])
def test_the_goodbye_comes_before_the_close(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, cause: Cause
) -> None:
    """The close itself looks as if the client had closed."""
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)
    config = settings.load()
    store = ConnectionStore.open(config.connections_table, NO_DEADLINE)
    with connect(f"{gateway.url}?clientId=plain-{cause}") as client:
        gateway.wait(lambda: bool(opened_by(gateway, f"plain-{cause}")))
        [connection_id] = opened_by(gateway, f"plain-{cause}")
        gateway.dynamodb().update_item(
            TableName=config.connections_table,
            Key={"connectionId": {"S": connection_id}},
            UpdateExpression="SET expiresAt = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
        row = store.get(connection_id)
        assert row is not None

        outcomes = Closing(cause, store, config, Log({}), NO_DEADLINE).close([row])

        assert outcomes == {connection_id: "closed"}
        assert client.recv(PATIENCE_S) == goodbye(cause).text()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    assert gateway.ended(connection_id)["cause"] == cause
