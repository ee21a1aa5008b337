"""Nobody home: real clients, the local gateway with its SNS and SQS, and a network that is cut."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.cutting import network_to
from tests.support.gateway import PATIENCE_S, Gateway, serving

pytestmark = pytest.mark.proof

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
DELAY_S = 4  # less than the setting accepts, so that the tests need not wait for 15 s


def shorten(project: Path) -> None:
    """Have the copy of the project accept a shorter delay."""
    path = project / "chalicelib" / "variables.py"
    text = path.read_text()
    assert text.count("integer(15, 900)") == 1
    path.write_text(text.replace("integer(15, 900)", "integer(1, 900)"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    project = tmp_path_factory.mktemp("unclaimed") / "project"
    settings = {"RECOVER_OWN": "always", "UNCLAIMED_SECONDS": str(DELAY_S)}
    with serving(project, settings=settings, change=shorten) as gateway:
        yield gateway


def publish(gateway: Gateway, *names: str, receipt: bool = False) -> str:
    """Publish a notification for these clients and return its id."""
    attributes = {"clientId": {"DataType": "String.Array", "StringValue": json.dumps(names)}}
    if receipt:
        attributes["receipt"] = {"DataType": "String", "StringValue": "required"}
    sns = gateway.client("sns")
    answer = sns.publish(TopicArn=TOPIC, Message="hello", MessageAttributes=attributes)
    message_id: str = answer["MessageId"]
    return message_id


def lines(gateway: Gateway, message: str, message_id: str) -> list[dict[str, Any]]:
    """Return the log lines about a notification."""
    return [line for line in gateway.logged(message) if line["id"] == message_id]


async def notified(gateway: Gateway, message_id: str) -> dict[str, Any]:
    """Return the report of a delivery once it has ended."""
    await asyncio.to_thread(gateway.wait, lambda: bool(lines(gateway, "notified", message_id)))
    return lines(gateway, "notified", message_id)[-1]


async def announced(gateway: Gateway, message_id: str) -> dict[str, str]:
    """Wait until a notification was looked after; return why each client was announced."""
    await asyncio.to_thread(gateway.wait, lambda: bool(lines(gateway, "looked after", message_id)))
    told = lines(gateway, "nobody home", message_id)
    assert len({line["clientId"] for line in told}) == len(told)
    return {line["clientId"]: line["why"] for line in told}


def connected(gateway: Gateway, name: str) -> Any:
    """Connect a client."""
    return connect(f"{gateway.url}?clientId={name}", open_timeout=PATIENCE_S)


async def answer_to(client: ClientConnection, **request: Any) -> dict[str, Any]:
    """Send a request and return its answer."""
    await client.send(json.dumps({"n": 77, **request}))
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer: dict[str, Any] = json.loads(await client.recv())
            if answer.get("n") == 77:
                return answer


def test_only_who_neither_got_it_nor_came_back_in_time_is_announced(gateway: Gateway) -> None:
    """Once, although it comes later and then gets the notification."""

    async def run() -> None:
        async with connected(gateway, "here"), connected(gateway, "twice"):
            async with connected(gateway, "twice"):
                pass  # its second device has left
            message_id = publish(gateway, "here", "twice", "back", "gone")
            assert (await notified(gateway, message_id))["queued"] == 2

            after = {"own": {"seq": 0, "of": "back"}}
            async with connected(gateway, "back") as back:
                answer = await answer_to(back, action="recover", after=after)
            told = await announced(gateway, message_id)

            after = {"own": {"seq": 0, "of": "gone"}}
            async with connected(gateway, "gone") as late:
                too_late = await answer_to(late, action="recover", after=after)

        assert [each["id"] for each in answer["notifications"]] == [message_id]
        assert [each["id"] for each in too_late["notifications"]] == [message_id]
        assert told == await announced(gateway, message_id) == {"gone": "not connected"}

    asyncio.run(run())


def test_a_dead_network_is_noticed_with_a_receipt_only(gateway: Gateway) -> None:
    """API Gateway takes the posts of a connection whose network is cut."""

    async def run() -> None:
        with network_to(gateway.url) as network:
            async with (
                connect(f"{network.address}?clientId=cut", ping_interval=None, close_timeout=0.1),
                connected(gateway, "well") as well,
            ):
                network.cut()
                silent = publish(gateway, "cut")
                assert (await notified(gateway, silent))["queued"] == 0
                watched = publish(gateway, "cut", "well", receipt=True)
                async with asyncio.timeout(PATIENCE_S):
                    notification = json.loads(await well.recv())
                answer = await answer_to(well, action="received", seq=notification["seq"])
                told = await announced(gateway, watched)

        assert (notification["id"], notification["receipt"]) == (watched, True)
        assert answer["type"] == "pong"
        assert told == {"cut": "not received"}
        assert lines(gateway, "looked after", silent) == []

    asyncio.run(run())


def test_two_runs_of_a_notification_announce_with_one_id(gateway: Gateway) -> None:
    """SNS and Lambda deliver at least once."""
    message_id = publish(gateway, "never")
    asyncio.run(notified(gateway, message_id))
    sns = {
        "MessageId": message_id,
        "Message": "hello",
        "Subject": None,
        "Timestamp": "2026-11-28T08:00:00.000Z",
        "MessageAttributes": {"clientId": {"Type": "String", "Value": "never"}},
    }
    event = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}
    client = gateway.client("lambda", gateway.lambda_endpoint)
    client.invoke(FunctionName="incident-websocket-dev-notify", Payload=json.dumps(event))

    gateway.wait(lambda: len(lines(gateway, "looked after", message_id)) == 2)

    told = lines(gateway, "nobody home", message_id)
    assert [(line["clientId"], line["id"]) for line in told] == [("never", message_id)] * 2
    assert len({line["seq"] for line in told}) == 1
