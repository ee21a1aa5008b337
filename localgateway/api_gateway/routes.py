"""Route selection for messages: `$request.body.action`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


_NO_MESSAGES = ("$connect", "$disconnect")


def select_route(body: str, routes: Collection[str]) -> str | None:
    """Return the key among `routes` that matches the message, `$default`, or None.

    `$connect` and `$disconnect` match no message.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    action = message.get("action") if isinstance(message, dict) else None
    if isinstance(action, str) and action in routes and action not in _NO_MESSAGES:
        return action
    return "$default" if "$default" in routes else None
