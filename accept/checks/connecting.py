"""What `connect` promises of an accepted handshake: the row, whole and in the index."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from accept.errors import FailedError, SkippedError
from accept.polling import now_ms, until

if TYPE_CHECKING:
    from accept.rows import Row
    from accept.run import Run
    from accept.sockets import Client

FIRST = "first"
# How far the clocks of this machine and of AWS may differ, in ms.
CLOCK_MS = 60_000
INDEX_S = 10.0
DEFAULT_TTL_HOURS = "24"


async def handshake(run: Run) -> str:
    """Check that a client's handshake is accepted."""
    if run.target.settings.get("AUTH_ISSUER") and run.token is None:
        raise SkippedError("AUTH_ISSUER is set; pass a client's token with --token")
    client = await run.open(FIRST)
    return f"opened in {now_ms() - client.opened_ms} ms"


async def row(run: Run) -> str:
    """Check that the open connection has a row."""
    found = await row_of(run, FIRST)
    stored = await run.rows.get(found["connectionId"])
    if stored is None:
        where = f"table {run.target.table}"
        raise FailedError(f"row {found['connectionId']!r}", "no such row", where)
    return f"row {found['connectionId']!r}"


async def ttl(run: Run) -> str:
    """Check that the row's `ttl` is TTL_HOURS after `createdAt`, in epoch seconds."""
    found = await row_of(run, FIRST)
    hours = float(run.target.settings.get("TTL_HOURS") or DEFAULT_TTL_HOURS)
    expected = found["createdAt"] // 1000 + math.ceil(hours * 3600)
    if found.get("ttl") != expected:
        seen = f"ttl {found.get('ttl')!r}"
        raise FailedError(f"ttl {expected} ({hours:g} h after createdAt)", seen, _connect_log(run))
    return f"{hours:g} h"


async def metadata(run: Run) -> str:
    """Check that the row has the client, the time of the handshake and the API."""
    found, client = await row_of(run, FIRST), run.clients[FIRST]
    expected: dict[str, Any] = {
        "clientId": client.client_id,
        "userAgent": client.agent,
        "stage": run.target.stage,
    }
    if run.target.api_id:
        expected["apiId"] = run.target.api_id
    wrong = {name: found.get(name) for name in expected if found.get(name) != expected[name]}
    for name in ("sourceIp", "region", "apiId", "domainName"):
        if not found.get(name):
            wrong[name] = None
    for name in ("createdAt", "connectedAt"):
        if abs(found.get(name, 0) - client.opened_ms) > CLOCK_MS:
            wrong[name] = found.get(name)
    if wrong:
        raise FailedError(f"{expected} and times near {client.opened_ms}", wrong, _connect_log(run))
    return f"client {found['clientId']} from {found['sourceIp']}"


async def index(run: Run) -> str:
    """Check that the index finds the row by its client."""
    wanted = (await row_of(run, FIRST))["connectionId"]
    client_id = run.clients[FIRST].client_id

    found, there = await until(
        lambda: run.rows.indexed(client_id),
        lambda rows: wanted in [row["connectionId"] for row in rows],
        run.left(INDEX_S),
    )
    if not there:
        seen = [row["connectionId"] for row in found]
        where = f"index ByClient of table {run.target.table}"
        raise FailedError(f"row {wanted!r} under client {client_id}", seen, where)
    return f"{len(found)} row of client {client_id}"


async def row_of(run: Run, name: str) -> Row:
    """Return the row of an open client of this run, which knows no connection id itself.

    Raise `FailedError` if there is none.
    """
    client = run.clients[name]
    if name in run.known:
        return run.known[name]
    found, there = await until(lambda: _look_for(run, client), bool, run.left(INDEX_S))
    if not there:
        seen = f"no row with user agent {client.agent!r}"
        raise FailedError("a row for the open connection", seen, _connect_log(run))
    run.known[name] = found[0]
    return found[0]


async def _look_for(run: Run, client: Client) -> list[Row]:
    """Look in the index, which costs less than a scan, and then in the table."""
    indexed = [r for r in await run.rows.indexed(client.client_id) if _is_of(client, r)]
    return indexed or [r for r in await run.rows.of_agent(client.agent) if _is_of(client, r)]


def _is_of(client: Client, row: Row) -> bool:
    return bool(row.get("userAgent") == client.agent)


def _connect_log(run: Run) -> str:
    return f"the log of {run.target.functions['connect']}"
