"""How connections end: closed, reset, or replaced; and that nothing of a run stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from accept.aws import code_of
from accept.checks.connecting import row_of
from accept.checks.functions import gone
from accept.checks.messages import pong
from accept.errors import FailedError, SkippedError, UndecidedError
from accept.polling import now_ms, until
from accept.run import AGENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accept.rows import Row
    from accept.run import Run

REPLACED_S = 10.0
CLEANUP_S = 8.0
CLEANUP_CALLS = 40  # beyond those of the checks: a run never leaves rows to save calls
MAX_LIMIT = 8
# A 410 says nothing of a younger connection: its handshake may still be running (10 s at most).
HANDSHAKE_MS = 12_000


async def disconnect(run: Run) -> str:
    """Check that the row goes when a client closes its connection, and when it is reset."""
    closing, resetting = await run.open("closing"), await run.open("resetting")
    rows = [await row_of(run, name) for name in ("closing", "resetting")]
    await closing.close()
    await resetting.reset()
    for row in rows:
        await gone(run, row["connectionId"], "disconnect")
    return "both rows gone"


async def limit(run: Run) -> str:
    """Check that MAX_CONNECTIONS_PER_CLIENT closes a client's oldest connection."""
    setting = run.target.settings.get("MAX_CONNECTIONS_PER_CLIENT", "")
    if not setting:
        raise SkippedError("MAX_CONNECTIONS_PER_CLIENT is empty: there is no limit")
    if int(setting) > MAX_LIMIT:
        raise SkippedError(f"a limit of {setting} would need too many handshakes")
    if run.token:
        raise SkippedError("the token's subject may be connected elsewhere, too")
    allowed, client_id = int(setting), run.client_id("limited")
    clients = [await run.open(f"limited{n}", client_id) for n in range(allowed + 1)]
    if await clients[0].closed(run.left(REPLACED_S)) is None:
        # `connect` never delays a handshake for the limit. A cold start may leave it to the next.
        clients.append(await run.open(f"limited{allowed + 1}", client_id))
        if await clients[0].closed(run.left(REPLACED_S)) is None:
            where = f"the log of {run.target.functions['connect']}"
            raise FailedError("the oldest connection closed", "it is open", where)
    for client in clients[-allowed:]:
        await pong(run, client)
    return f"{allowed} of {len(clients)} stay"


async def leftovers(run: Run) -> str:
    """Remove the rows of killed runs. Those of a run that is still going stay."""
    try:
        rows = await run.rows.of_agent(AGENT)
        removed = await _remove_dead(run, rows)
    except ClientError as error:
        raise UndecidedError(f"not looked for: {error}") from error
    return f"removed {removed} rows of earlier runs" if removed else "none"


async def cleanup(run: Run) -> str:
    """Check that nothing of the run stays in the table."""
    await run.close()
    run.aws.max_calls += CLEANUP_CALLS
    rows, clean = await until(
        lambda: run.rows.of_agent(run.agent), lambda rows: not rows, CLEANUP_S
    )
    if clean:
        return "no row stays"
    removed = await _remove_dead(run, rows)
    left = await run.rows.of_agent(run.agent)
    if left:
        seen = [row["connectionId"] for row in left]
        raise FailedError("no row of this run", seen, f"table {run.target.table}")
    return f"removed {removed} rows whose $disconnect did not come"


async def _remove_dead(run: Run, rows: Sequence[Row]) -> int:
    """Remove the rows whose connection is gone, and return how many."""
    if rows:
        youngest_ms = max(row["createdAt"] for row in rows)
        await asyncio.sleep(max(0, min(HANDSHAKE_MS, youngest_ms + HANDSHAKE_MS - now_ms())) / 1000)
    removed = 0
    for row in rows:
        if not await is_open(run, row["connectionId"]):
            await run.rows.remove(row)
            removed += 1
    return removed


async def is_open(run: Run, connection_id: str) -> bool:
    """Return whether API Gateway still has the connection."""
    try:
        await run.aws.call("apigatewaymanagementapi", "get_connection", ConnectionId=connection_id)
    except ClientError as error:
        if code_of(error) != "GoneException":
            raise
        return False
    return True
