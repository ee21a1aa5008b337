"""The functions that people invoke: `connections`, `close` and `sweep`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accept.checks.connecting import FIRST, row_of
from accept.errors import FailedError
from accept.polling import until

if TYPE_CHECKING:
    from accept.run import Run

CLOSE_S = 15.0
GONE_S = 20.0


async def connections(run: Run) -> str:
    """Check that `connections` finds the connection by its id and by its client, and counts it."""
    row = await row_of(run, FIRST)
    connection_id = row["connectionId"]
    by_id = await invoke(run, "connections", {"connectionId": connection_id})
    if connection_id not in _ids(by_id):
        raise _wrong(run, "connections", f"connection {connection_id!r}", by_id)
    by_client = await invoke(run, "connections", {"clientId": row["clientId"]})
    if connection_id not in _ids(by_client):
        raise _wrong(run, "connections", f"{connection_id!r} among its client's", by_client)
    counts = await invoke(run, "connections", {})
    if not counts.get("live", 0) >= 1:
        raise _wrong(run, "connections", "at least one live connection", counts)
    return f"{counts['live']} live"


async def who(run: Run) -> str:
    """Check that `connections` tells of a list of clients who is here, by asking API Gateway."""
    client_id = (await row_of(run, FIRST))["clientId"]
    absent = f"{client_id[:100]}.absent"
    asked = {"clientIds": [client_id, absent], "look": True}
    answer = await invoke(run, "connections", asked)
    seen = {each["clientId"]: each for each in answer.get("clients", ())}
    present = {name: each["present"] for name, each in seen.items()}
    if present != {client_id: True, absent: False} or answer.get("after"):
        raise _wrong(run, "connections", f"{client_id!r} present, {absent!r} not", answer)
    if seen[client_id]["lastActiveAt"] is None:
        raise _wrong(run, "connections", "when the client was last active", answer)
    return f"{seen[client_id]['connections']} connections of the client"


def _ids(answer: dict[str, Any]) -> list[str]:
    """Return the ids in an answer."""
    return [row["connectionId"] for row in answer.get("connections", ())]


async def kick(run: Run) -> str:
    """Check that `close` says goodbye to a client, and closes its connection with 1000."""
    client = await run.open("kicked")
    connection_id = (await row_of(run, "kicked"))["connectionId"]
    said = {"message": "make accept", "reconnect": True}
    request = {"connectionId": connection_id, "reason": "make accept", **said}
    answer = await invoke(run, "close", request)
    if answer.get("connections") != {connection_id: "closed"}:
        raise _wrong(run, "close", f"{connection_id!r} closed", answer)
    code = await client.closed(run.left(CLOSE_S))
    if code != 1000:
        raise _wrong(run, "close", "a close with 1000", f"close code {code}")
    expected = {"type": "goodbye", "reason": "kicked", **said, "afterSeconds": 0}
    if client.goodbyes != [expected]:
        raise _wrong(run, "close", f"before the close {expected}", client.goodbyes or "no goodbye")
    return "told, and closed with 1000"


async def sweep(run: Run) -> str:
    """Check that a dry run of the sweep reports, and leaves the row of an open connection."""
    connection_id = (await row_of(run, FIRST))["connectionId"]
    report = await invoke(run, "sweep", {"dryRun": True})
    if report.get("dryRun") is not True or "removed" not in report:
        raise _wrong(run, "sweep", "a report of a dry run", report)
    if await run.rows.get(connection_id) is None:
        raise _wrong(run, "sweep", f"row {connection_id!r}", "no such row")
    return f"{report['live']} live, would remove {sum(report['removed'].values())}"


async def gone(run: Run, connection_id: str, function: str) -> None:
    """Wait until a row is gone. Raise `FailedError` if it stays."""
    wait_s = run.left(GONE_S)
    _, removed = await until(lambda: run.rows.get(connection_id), lambda row: row is None, wait_s)
    if not removed:
        raise _wrong(run, function, "no row", f"row {connection_id!r} after {wait_s:.0f} s")


async def invoke(run: Run, function: str, event: Any) -> dict[str, Any]:
    """Invoke a function and return its answer. Raise `FailedError` if it fails."""
    answer = await run.aws.call(
        "lambda",
        "invoke",
        FunctionName=run.target.functions[function],
        Payload=json.dumps(event).encode(),
    )
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or not isinstance(result, dict) or "error" in result:
        raise _wrong(run, function, "a result", result)
    return result


def _wrong(run: Run, function: str, expected: str, seen: object) -> FailedError:
    return FailedError(expected, seen, f"the log of {run.target.functions[function]}")
