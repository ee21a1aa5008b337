"""What clients are answered, and how large a message may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from accept.checks.connecting import CLOCK_MS, FIRST
from accept.errors import FailedError
from accept.polling import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accept.run import Run
    from accept.sockets import Client

PING = '{"action": "ping"}'
ANSWER_S = 15.0
# API Gateway's quotas in bytes:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
FRAME = 32 * 1024
MESSAGE = 128 * 1024
TOO_LARGE = 1009


async def ping(run: Run) -> str:
    """Check that a ping is answered with a pong."""
    return await pong(run, run.clients[FIRST])


async def pong(run: Run, client: Client) -> str:
    """Ping and return what was seen. Raise `FailedError` if the answer is not a pong."""
    began = now_ms()
    answer = await _answer(run, client, PING)
    if not (isinstance(answer, dict) and answer.get("type") == "pong"):
        raise FailedError('{"type": "pong", "at": …}', json.dumps(answer), _look(run))
    if abs(answer.get("at", 0) - began) > CLOCK_MS:
        raise FailedError(f"a time near {began}", json.dumps(answer), _look(run))
    return f"answered in {now_ms() - began} ms"


async def unknown_message(run: Run) -> str:
    """Check that another message is answered with an error that says what to send."""
    answer = await _answer(run, run.clients[FIRST], "hello")
    if not (isinstance(answer, dict) and answer.get("type") == "error"):
        raise FailedError('{"type": "error", …}', json.dumps(answer), _look(run))
    return str(answer.get("message"))


async def large_message(run: Run) -> str:
    """Check that a message of 128 KB in frames of 32 KB is answered."""
    client = await run.open("large")
    answer = await _answer(run, client, _frames(MESSAGE))
    if not (isinstance(answer, dict) and answer.get("type") == "error"):
        raise FailedError(f"an answer to {MESSAGE} bytes", json.dumps(answer), _look(run))
    return f"{MESSAGE} bytes"


async def message_limits(run: Run) -> str:
    """Check that a larger frame closes the connection with 1009, and so does a larger message."""
    await _closed_by(run, run.clients["large"], "x" * (FRAME + 1))
    await _closed_by(run, await run.open("larger"), _frames(MESSAGE + 1))
    return f"{FRAME} bytes a frame, {MESSAGE} a message"


def _frames(size: int) -> list[str]:
    whole, rest = divmod(size, FRAME)
    return ["x" * FRAME] * whole + (["x" * rest] if rest else [])


async def _closed_by(run: Run, client: Client, message: str | Iterable[str]) -> None:
    seen: Any
    try:
        seen = json.dumps(await client.answer(message, run.left(ANSWER_S)))
    except ConnectionClosed:
        seen = await client.closed(run.left(ANSWER_S))
    if seen != TOO_LARGE:
        raise FailedError(f"a close with {TOO_LARGE}", seen, "API Gateway's quotas")


async def _answer(run: Run, client: Client, message: str | Iterable[str]) -> Any:
    try:
        return await client.answer(message, run.left(ANSWER_S))
    except ConnectionClosed as error:
        raise FailedError("an answer", repr(error), _look(run)) from error


def _look(run: Run) -> str:
    return f"the route $default and the log of {run.target.functions['message']}"
