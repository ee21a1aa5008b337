"""When a client was last active, by which the sweep finds the clients that have fallen silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from accept.checks.connecting import row_of
from accept.checks.messages import pong
from accept.checks.notifications import publish, received
from accept.errors import FailedError, SkippedError
from accept.polling import until

if TYPE_CHECKING:
    from datetime import datetime

    from accept.run import Run

# `LastActiveAt` may be counted in whole seconds, and may follow late.
TICK_S = 1.5
FOLLOWING_S = 5.0
WHERE = "docs/sweep.md#silent-clients"


async def last_active(run: Run) -> str:
    """Check that `LastActiveAt` of a connection follows its client's pings, and no notification."""
    if run.token:
        raise SkippedError("the token's subject may be connected elsewhere, too")
    client = await run.open("active")
    connection_id = (await row_of(run, "active"))["connectionId"]
    opened_at = await _last_active(run, connection_id)
    await asyncio.sleep(run.left(TICK_S))
    await pong(run, client)
    heard_at, follows = await until(
        lambda: _last_active(run, connection_id), lambda at: at > opened_at, run.left(FOLLOWING_S)
    )
    if not follows:
        expected = f"LastActiveAt after {opened_at} once the client has sent a ping"
        raise FailedError(expected, f"{heard_at}: leave SILENT_AFTER_SECONDS empty", WHERE)
    await asyncio.sleep(run.left(TICK_S))
    notification_id = await publish(run, "make accept", [client])
    await received(run, notification_id, [client])
    told_at = await _last_active(run, connection_id)
    if told_at != heard_at:
        seen = f"{told_at}: a silent client is noticed only after its last notification"
        raise FailedError(f"LastActiveAt {heard_at}, as before the notification", seen, WHERE)
    return "moved by a ping, not by a notification"


async def _last_active(run: Run, connection_id: str) -> datetime:
    answer = await run.aws.call(
        "apigatewaymanagementapi", "get_connection", ConnectionId=connection_id
    )
    at: datetime = answer["LastActiveAt"]
    return at
