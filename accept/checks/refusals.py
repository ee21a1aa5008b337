"""What `connect` refuses, and that a refusal leaves no row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accept.errors import FailedError, SkippedError
from accept.polling import until
from accept.sockets import Client

if TYPE_CHECKING:
    from accept.run import Run

REFUSED = "refused"
# A client that should have been refused, and was not, is gone by then.
ENDED_S = 5.0
INVALID_CLIENT_ID = "not a client id"
FOREIGN_ORIGIN = "https://accept.invalid"


async def client_id(run: Run) -> str:
    """Check that an invalid clientId is refused with 400."""
    if run.target.settings.get("AUTH_ISSUER"):
        raise SkippedError("AUTH_ISSUER is set: the token names the client")
    return await _refused(run, f"{REFUSED}-client", 400, client_id=INVALID_CLIENT_ID)


async def origin(run: Run) -> str:
    """Check that a foreign origin is refused with 403, if ALLOWED_ORIGINS is set."""
    if not run.target.settings.get("ALLOWED_ORIGINS"):
        raise SkippedError("ALLOWED_ORIGINS is empty: every origin is accepted")
    return await _refused(run, f"{REFUSED}-origin", 403, origin=FOREIGN_ORIGIN)


async def token(run: Run) -> str:
    """Check that a client without a token is refused with 401, if AUTH_ISSUER is set."""
    if not run.target.settings.get("AUTH_ISSUER"):
        raise SkippedError("AUTH_ISSUER is empty: no token is required")
    given, run.token = run.token, None
    try:
        return await _refused(run, f"{REFUSED}-token", 401)
    finally:
        run.token = given


async def no_row(run: Run) -> str:
    """Check that no refused client has a row."""
    agent = f"{run.agent} {REFUSED}"
    rows, none = await until(lambda: run.rows.of_agent(agent), lambda rows: not rows, ENDED_S)
    if not none:
        seen = [row["connectionId"] for row in rows]
        raise FailedError("no row of a refused client", seen, f"table {run.target.table}")
    return "none"


async def _refused(
    run: Run, name: str, status: int, *, client_id: str | None = None, origin: str | None = None
) -> str:
    seen = await run.attempt(name, client_id=client_id, origin=origin)
    if isinstance(seen, Client):
        await seen.close()
    if seen != status:
        shown = "an open connection" if isinstance(seen, Client) else f"HTTP {seen}"
        where = f"the log of {run.target.functions['connect']}"
        raise FailedError(f"HTTP {status}", shown, where)
    return f"HTTP {status}"
