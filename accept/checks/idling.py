"""AWS only, on request: a connection that only pings stays open and is notified."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from accept.checks.messages import pong
from accept.checks.notifications import publish, received

if TYPE_CHECKING:
    from accept.run import Run

MINUTES = 20
# API Gateway closes a connection after 10 idle minutes.
PING_EVERY_S = 240.0


async def idle(run: Run) -> str:
    """Check that a client which only pings for 20 minutes receives a notification then."""
    client = await run.open("idle")
    for _ in range(round(MINUTES * 60 / PING_EVERY_S)):
        await asyncio.sleep(run.left(PING_EVERY_S))
        await pong(run, client)
    notification_id = await publish(run, "make accept --idle", [client])
    await received(run, notification_id, [client])
    return f"notified after {MINUTES} minutes"
