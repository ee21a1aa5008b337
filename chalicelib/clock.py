"""The clock: the time of rows and events, and the deadline of an invocation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

# For a hand-made context that lacks the time left: the timeout of the WebSocket functions.
DEFAULT_S = 10.0


def now_ms() -> int:
    """Return the epoch ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Deadline:
    """A point in time, `at` in s of `time.monotonic`, after which no call may run.

    An invocation makes one from Lambda's remaining time and passes it down. A call to the outside
    starts only if its worst case fits into what is left.
    """

    at: float

    @classmethod
    def of(cls, context: object) -> Deadline:
        """Return the time at which Lambda ends the invocation with this context.

        https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
        """
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        seconds = remaining() / 1000 if remaining else DEFAULT_S
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds left, negative once the deadline has passed."""
        return self.at - time.monotonic()

    def allows(self, seconds: float) -> bool:
        """Return whether something that takes at most `seconds` can start now."""
        return self.left() >= seconds

    def minus(self, seconds: float) -> Deadline:
        """Return the deadline that keeps a reserve of `seconds`."""
        return replace(self, at=self.at - seconds)

    def within(self, seconds: float) -> Deadline:
        """Return this deadline, or the one `seconds` from now if that is earlier."""
        return replace(self, at=min(self.at, time.monotonic() + seconds))
