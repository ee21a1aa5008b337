"""A client goes on with a new token, where tokens are taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from accept.checks.connecting import FIRST, row_of
from accept.errors import FailedError
from accept.run import claims

if TYPE_CHECKING:
    from accept.run import Run

ANSWER_S = 15.0


async def renewal(run: Run) -> str:
    """Check that a client's token is taken and its expiry kept, or that tokens mean nothing."""
    request = {"action": "authenticate", "token": run.token or "none", "n": 1}
    try:
        client = run.clients[FIRST]
        answer = await client.answer(json.dumps(request), run.left(ANSWER_S))
    except ConnectionClosed as error:
        raise _wrong(run, "an answer to authenticate", repr(error)) from error
    if run.token is None:
        if not (isinstance(answer, dict) and answer.get("code") == "bad_request"):
            raise _wrong(run, 'an error with the code "bad_request"', answer)
        return "no tokens are taken"
    expires_at = int(claims(run.token)["exp"])
    if answer != {"type": "authenticated", "expiresAt": expires_at, "n": 1}:
        raise _wrong(run, f"authenticated until {expires_at}", answer)
    is_kept = run.target.settings.get("TOKEN_EXPIRY", "").strip().lower() != "ignore"
    row = await run.rows.get((await row_of(run, FIRST))["connectionId"]) or {}
    if row.get("expiresAt") != (expires_at if is_kept else None):
        raise _wrong(run, "the same expiry in the row, unless TOKEN_EXPIRY is ignore", row)
    return f"until {expires_at}"


def _wrong(run: Run, expected: str, seen: Any) -> FailedError:
    return FailedError(expected, json.dumps(seen), f"the logs of {run.target.functions['message']}")
