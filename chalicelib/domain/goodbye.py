"""The goodbye: why the server ends a connection, and whether the client may come back.

API Gateway shows every client the close code 1000, whatever the cause. So the server says it in a
message before it closes a connection, or as the answer to a request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from chalicelib.domain.close_causes import Cause

# The cause of a connection that has no row: no notification reaches it.
UNKNOWN = "unknown"
# The text goes into one frame of one metered message, whatever it is escaped to.
MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class Goodbye:
    """A goodbye. With `reconnect` the client comes back, `after_seconds` from now or later."""

    reason: str
    message: str | None
    reconnect: bool
    after_seconds: int = 0

    def text(self) -> str:
        """Return the message as JSON: what API Gateway sends to the client."""
        fields = {
            "type": "goodbye",
            "reason": self.reason,
            "message": self.message,
            "reconnect": self.reconnect,
            "afterSeconds": self.after_seconds,
        }
        return json.dumps(fields, ensure_ascii=False)


# A client that was sent away or that has a newer connection would be closed again at once.
_DEFAULTS = {
    Cause.KICKED.value: Goodbye(Cause.KICKED, "the server has closed this connection", False),
    Cause.REPLACED.value: Goodbye(
        Cause.REPLACED, "a newer connection of this client has replaced this one", False
    ),
    Cause.EXPIRED.value: Goodbye(Cause.EXPIRED, "the token has expired", True),
    UNKNOWN: Goodbye(UNKNOWN, None, True),
}


def goodbye(reason: str, message: str | None = None, *, reconnect: bool | None = None) -> Goodbye:
    """Return the goodbye for a reason, with its own text and `reconnect` where none are given.

    `reason` is `kicked`, `replaced`, `expired` or `unknown`. Raises `KeyError` for another one: a
    client that is silent is not spoken to, and the other ends are not the server's.
    """
    default = _DEFAULTS[reason]
    return Goodbye(
        default.reason,
        default.message if message is None else message,
        default.reconnect if reconnect is None else reconnect,
        default.after_seconds,
    )


def is_announced(cause: str) -> bool:
    """Return whether a goodbye announces a close with this cause."""
    return cause in _DEFAULTS and cause != UNKNOWN
