"""The function `message`: answers what clients send. It reads and writes nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from chalice.app import Response

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

EXPECTED = '{"action": "ping"}'
SHOWN_CHARACTERS = 100


def message(event: WebsocketEvent) -> Response:
    """Answer a message. API Gateway sends the body of the response to the client."""
    body = event.to_dict().get("body")  # Chalice's `event.body` is "None" if there is none
    text = body if isinstance(body, str) else ""
    answer = reply(text, time.time_ns() // 1_000_000)
    return Response(json.dumps(answer, ensure_ascii=False))


def reply(body: str, now_ms: int) -> dict[str, Any]:
    """Return the answer: a pong with the time in epoch ms, or an error.

    A ping keeps the connection open, which API Gateway closes after 10 idle minutes.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, dict) and message.get("action") == "ping":
        return {"type": "pong", "at": now_ms}
    shown = body if len(body) <= SHOWN_CHARACTERS else f"{body[:SHOWN_CHARACTERS]}..."
    return {"type": "error", "message": f"unknown message {shown!r}; send {EXPECTED}"}
