"""A client that was away gets what was published meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from accept.checks.functions import invoke
from accept.checks.notifications import DELIVERY_S, publish
from accept.errors import FailedError, SkippedError
from accept.polling import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accept.run import Run
    from accept.sockets import Client

AWAY, BACK = "away", "back"
ANSWER_S = 15.0


async def recover(run: Run) -> str:
    """Check that a client whose connection was cut recovers what was published meanwhile."""
    settings = run.target.settings
    if not settings.get("HISTORY_TABLE"):
        raise SkippedError("HISTORY_TABLE is not set; there is no history")
    if run.token:
        raise SkippedError("the token's subject may be connected elsewhere, too")
    is_named = _has_own(settings)
    if not is_named:
        await _nobody_else(run)
    client = await run.open(AWAY)
    position = (await _answer(run, client, None))["position"]
    await client.reset()
    notification_id = await publish(run, "make accept", [client] if is_named else None)
    back = await run.open(BACK, client_id=client.client_id)

    async def recovered() -> list[str]:
        answer = await _answer(run, back, position)
        return [each["id"] for each in answer["notifications"]]

    wait_s = run.left(DELIVERY_S)
    seen, is_there = await until(recovered, lambda ids: notification_id in ids, wait_s)
    if not is_there:
        expected = f"notification {notification_id} in an answer to recover"
        raise FailedError(expected, f"{seen} after {wait_s:.0f} s", _look(run))
    return "own stream" if is_named else "stream of everybody"


def _has_own(settings: Mapping[str, str]) -> bool:
    is_always = settings.get("RECOVER_OWN", "").strip().lower() == "always"
    return is_always or bool(settings.get("AUTHORIZER_CLIENT"))


async def _nobody_else(run: Run) -> None:
    """Raise `SkippedError` if a notification to all would reach others, now or later."""
    if run.target.kind != "local":
        raise SkippedError("named clients recover nothing (RECOVER_OWN); all would get it")
    clients = [client for client in run.clients.values() if client.is_open]
    others = (await invoke(run, "connections", {}))["live"] - len(clients)
    if others > 0:
        raise SkippedError(f"{others} others are connected; they would receive it too")


async def _answer(run: Run, client: Client, position: Any) -> Any:
    request = json.dumps({"action": "recover", "after": position, "n": 1})
    try:
        answer = await client.answer(request, run.left(ANSWER_S))
    except ConnectionClosed as error:
        raise FailedError("an answer to recover", repr(error), _look(run)) from error
    if not (isinstance(answer, dict) and answer.get("type") == "recovered"):
        raise FailedError('{"type": "recovered", …}', json.dumps(answer), _look(run))
    return answer


def _look(run: Run) -> str:
    functions = run.target.functions
    return f"the logs of {functions['notify']} and {functions['message']}"
