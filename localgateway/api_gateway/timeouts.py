"""Idle timeout and maximum duration of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


@dataclass(frozen=True)
class Timeouts:
    """How long a connection may be idle, and how long it may stay open, in seconds."""

    idle: float
    duration: float


def expires_at(opened: float, last_active: float, timeouts: Timeouts) -> float:
    """Return when the connection expires if no further message passes; all times in seconds."""
    return min(last_active + timeouts.idle, opened + timeouts.duration)


class ExpiryTimer:
    """Calls `expire` once the connection has been idle or open for too long."""

    __slots__ = ("_active", "_expire", "_loop", "_opened", "_timeouts", "_timer")

    def __init__(
        self, timeouts: Timeouts, loop: asyncio.AbstractEventLoop, expire: Callable[[], object]
    ) -> None:
        self._timeouts = timeouts
        self._loop = loop
        self._expire = expire
        self._opened = self._active = loop.time()
        self._timer = loop.call_at(self._expires_at(), self._check)

    def restart_idle_timeout(self) -> None:
        """Count the idle time from now on."""
        # Rescheduling the timer for each message would cost more than one early check.
        self._active = self._loop.time()

    def cancel(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()

    def _expires_at(self) -> float:
        return expires_at(self._opened, self._active, self._timeouts)

    def _check(self) -> None:
        moment = self._expires_at()
        if moment > self._loop.time():
            self._timer = self._loop.call_at(moment, self._check)
        else:
            self._expire()
