"""Answers what clients send. Nothing is read or written for it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from chalice.app import Response

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

ACCEPTED = '{"action": "ping"}'
SHOWN_CHARACTERS = 100


def answer(event: WebsocketEvent) -> Response:
    """Answer a message; API Gateway sends the body of the response to the client."""
    return Response(json.dumps(reply(event.body, time.time_ns() // 1_000_000)))


def reply(body: str, now_ms: int) -> dict[str, Any]:
    """Give the answer to a message: a pong with the time in ms, or what is accepted.

    A ping keeps a connection from idling out, which API Gateway does after 10 minutes.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, dict) and message.get("action") == "ping":
        return {"type": "pong", "at": now_ms}
    shown = body if len(body) <= SHOWN_CHARACTERS else f"{body[:SHOWN_CHARACTERS]}..."
    return {"type": "error", "message": f"{shown!r} is not accepted; accepted is {ACCEPTED}"}
