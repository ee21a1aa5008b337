"""The outcome of an invocation: a result, an error or a timeout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Returned:
    """The function returned `payload`, as JSON carried it."""

    payload: Any


@dataclass(frozen=True)
class Failed:
    """The function raised, its execution environment exited, or the environment did not start.

    `error` is the error object that Lambda returns for an exception: type, message, stack trace.
    """

    cause: str
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TimedOut:
    """The function, or the wait for a free execution environment, exceeded its timeout."""

    seconds: float


Outcome = Returned | Failed | TimedOut


def cause(outcome: Failed | TimedOut) -> str:
    """Return the reason why the invocation has no result."""
    if isinstance(outcome, TimedOut):
        return f"timed out after {outcome.seconds:g} s"
    return outcome.cause
