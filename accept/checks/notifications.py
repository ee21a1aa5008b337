"""A message that is published to the topic reaches the clients that it names."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from accept.checks.connecting import FIRST
from accept.checks.functions import invoke
from accept.checks.messages import pong
from accept.errors import FailedError, SkippedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accept.run import Run
    from accept.sockets import Client

SECOND, BYSTANDER = "second", "bystander"
DELIVERY_S = 30.0
# The envelope around it stays within the 128 KB of a message.
LARGE = 120_000


async def some(run: Run) -> str:
    """Check that a notification to two clients reaches both, and a third one not."""
    _one_client_each(run)
    named = [run.clients[FIRST], await run.open(SECOND)]
    bystander = await run.open(BYSTANDER)
    notification_id = await publish(run, "make accept", named)
    await received(run, notification_id, named)
    await pong(run, bystander)
    if bystander.notifications:
        raise FailedError("nothing for the third client", bystander.notifications, _look(run))
    return "2 clients of 3"


async def large(run: Run) -> str:
    """Check that a notification of 120,000 bytes arrives whole."""
    _one_client_each(run)
    client = run.clients[FIRST]
    text = "x" * LARGE
    notification_id = await publish(run, text, [client])
    [notification] = await received(run, notification_id, [client])
    if notification["message"] != text:
        seen = f"{len(notification['message'])} characters"
        raise FailedError(f"all {LARGE} characters", seen, _look(run))
    return f"{LARGE} bytes"


async def everybody(run: Run) -> str:
    """Check that a notification to all reaches all, if only this run's clients are connected."""
    clients = [client for client in run.clients.values() if client.is_open]
    counts = await invoke(run, "connections", {})
    others = counts["live"] - len(clients)
    if others > 0:
        raise SkippedError(f"{others} others are connected; they would receive it too")
    notification_id = await publish(run, "make accept", None)
    await received(run, notification_id, clients)
    return f"{len(clients)} clients"


def _one_client_each(run: Run) -> None:
    if run.token:
        raise SkippedError("the token's subject may be connected elsewhere, too")


async def publish(run: Run, message: str, clients: Sequence[Client] | None) -> str:
    """Publish a message to these clients, or to all with None, and return its id."""
    parameters: dict[str, Any] = {"TopicArn": run.target.topic_arn, "Message": message}
    if clients is not None:
        names = json.dumps([client.client_id for client in clients])
        attribute = {"DataType": "String.Array", "StringValue": names}
        parameters["MessageAttributes"] = {"clientId": attribute}
    answer = await run.aws.call("sns", "publish", Subject=run.id, **parameters)
    return str(answer["MessageId"])


async def received(run: Run, notification_id: str, clients: Sequence[Client]) -> list[Any]:
    """Return the notification as each client received it. Raise `FailedError` if one did not."""
    wait_s = run.left(DELIVERY_S)
    arrived = await asyncio.gather(
        *(client.notification(notification_id, wait_s) for client in clients)
    )
    for client, notification in zip(clients, arrived, strict=True):
        if notification is None or notification.get("subject") != run.id:
            expected = f"notification {notification_id} at {client.client_id}"
            raise FailedError(expected, f"{notification} after {wait_s:.0f} s", _look(run))
    return arrived


def _look(run: Run) -> str:
    return (
        f"the subscription of {run.target.topic_arn} and the log of "
        f"{run.target.functions['notify']}"
    )
