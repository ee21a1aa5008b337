"""Tokens that expire, over real sockets: clients of both libraries, and one that does not renew."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import TABLE
from tests.support.gateway import PATIENCE_S, Gateway, age, serving
from tests.support.issuer import AUDIENCE, Issuer, issuing
from tests.support.readers import Readers, node_readers, python_readers, until

pytestmark = pytest.mark.proof

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
Open = Callable[..., AbstractAsyncContextManager[Readers]]
LIBRARIES = pytest.mark.parametrize("opened", [python_readers, node_readers])
# The libraries do not renew a token that lasts for under 5 s, and others after four fifths.
LIFE_S = 10


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Gateway]:
    """Serve the project with tokens. At the end, none has been printed."""
    settings = {"AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
    with serving(tmp_path_factory.mktemp("expiry") / "project", settings=settings) as gateway:
        yield gateway
    assert "eyJ" not in "".join(gateway.said)


def options(opened: Open, issuer: Issuer, name: str) -> dict[str, Any]:
    """Return the options with which a client gets its tokens, and comes back at once."""
    if opened is node_readers:
        return {"tokenUrl": issuer.token_url, "spreadSeconds": 0.1}

    async def token() -> str:
        return issuer.short(name)

    return {"token": token, "spread_seconds": 0.1}


def row(gateway: Gateway, client_id: str) -> dict[str, Any]:
    """Return the newest row of a client."""
    items = gateway.dynamodb().scan(TableName=TABLE, ConsistentRead=True)["Items"]
    rows = [item for item in items if item.get("clientId") == {"S": client_id}]
    return dict(max(rows, key=lambda item: int(item["createdAt"]["N"])))


def expiry(gateway: Gateway, client_id: str) -> int:
    return int(row(gateway, client_id)["expiresAt"]["N"])


def publish(gateway: Gateway, client_id: str) -> str:
    attribute = {"DataType": "String", "StringValue": client_id}
    answer = gateway.client("sns").publish(
        TopicArn=TOPIC, Message="news", MessageAttributes={"clientId": attribute}
    )
    return str(answer["MessageId"])


def notified(gateway: Gateway, message_id: str) -> dict[str, Any]:
    """Return what became of a notification."""

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.logged("notified") if line["id"] == message_id]

    gateway.wait(lambda: bool(found()))
    return found()[0]


def sweep(gateway: Gateway) -> dict[str, Any]:
    answer = gateway.client("lambda", gateway.lambda_endpoint).invoke(
        FunctionName="incident-websocket-dev-sweep", Payload=b"{}"
    )
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    return report


def expire(gateway: Gateway, client_id: str) -> None:
    """Rewrite the row as if the token had expired, and the connection had been open for a while."""
    found = row(gateway, client_id)
    gateway.dynamodb().update_item(
        TableName=TABLE,
        Key={"connectionId": found["connectionId"]},
        UpdateExpression="SET expiresAt = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    age(gateway, [found["connectionId"]["S"]])


def opened_by(gateway: Gateway, client_id: str) -> int:
    lines = gateway.logged("connected")
    return sum(line["row"]["clientId"] == client_id for line in lines)


@LIBRARIES
def test_a_client_renews_its_token_on_the_same_connection(
    gateway: Gateway, issuer: Issuer, opened: Open
) -> None:
    """And is posted to after its first token has expired."""
    name = f"renewing-{opened.__name__}"
    issuer.life_s = LIFE_S

    async def run() -> None:
        async with opened(gateway.url, [name], **options(opened, issuer, name)) as readers:
            told = readers.told[name]
            await until(lambda: told.state == "live")
            first = await asyncio.to_thread(expiry, gateway, name)
            await until(lambda: time.time() > first)

            sent = await asyncio.to_thread(publish, gateway, name)
            await until(lambda: [each["id"] for each in told.notifications] == [sent])
            renewed = await asyncio.to_thread(expiry, gateway, name)

        assert renewed > first
        assert not told.notifications[0]["recovered"]
        assert (told.goodbyes, told.errors, opened_by(gateway, name)) == ([], [], 1)

    asyncio.run(run())


@LIBRARIES
def test_a_client_whose_token_has_expired_comes_back_and_misses_nothing(
    gateway: Gateway, issuer: Issuer, opened: Open
) -> None:
    """With a new token, when the sweep closes its connection."""
    name = f"expired-{opened.__name__}"
    issuer.life_s = 600

    async def run() -> None:
        async with opened(gateway.url, [name], **options(opened, issuer, name)) as readers:
            told = readers.told[name]
            await until(lambda: told.state == "live")
            await asyncio.to_thread(expire, gateway, name)

            sent = await asyncio.to_thread(publish, gateway, name)
            outcome = await asyncio.to_thread(notified, gateway, sent)
            report = await asyncio.to_thread(sweep, gateway)
            await until(lambda: [each["id"] for each in told.notifications] == [sent])

        assert (outcome["delivered"], outcome["expired"]) == (0, 1)
        assert report["expired"] == 1
        [said] = told.goodbyes
        assert (said if isinstance(said, dict) else vars(said))["reason"] == "expired"
        await until(lambda: opened_by(gateway, name) == 2)

    asyncio.run(run())


def test_a_client_that_does_not_renew_gets_nothing_more_and_is_closed(
    gateway: Gateway, issuer: Issuer
) -> None:
    """It is told when it asks, and again before the close."""
    issuer.life_s = 2
    token = issuer.short("lazy")

    with connect(f"{gateway.url}?token={token}", open_timeout=PATIENCE_S) as client:
        connection_id = row(gateway, "lazy")["connectionId"]["S"]
        while time.time() < expiry(gateway, "lazy"):
            client.send('{"action": "ping"}')
            assert json.loads(client.recv(PATIENCE_S))["type"] == "pong"
        outcome = notified(gateway, publish(gateway, "lazy"))
        client.send('{"action": "recover", "n": 1}')
        answer = json.loads(client.recv(PATIENCE_S))
        age(gateway, [connection_id])
        report = sweep(gateway)
        goodbye = json.loads(client.recv(PATIENCE_S))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(PATIENCE_S)

    assert (outcome["delivered"], outcome["expired"]) == (0, 1)
    assert (answer["type"], answer["reason"], answer["reconnect"]) == ("goodbye", "expired", True)
    assert report["expired"] == 1
    assert goodbye == answer
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1000
    assert gateway.ended(connection_id)["cause"] == "expired"
