"""Reads from the answer to a `GET @connections` when the client was last active."""

from __future__ import annotations

import json
from datetime import UTC, datetime


def last_active_ms(body: str) -> int | None:
    """Return `lastActiveAt` in epoch ms, or None if the answer has no such time.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
    A time without a zone is UTC.
    """
    try:
        at = datetime.fromisoformat(json.loads(body)["lastActiveAt"])
        return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
