"""The ways in which a check does not pass, and why no check could run."""

from __future__ import annotations


class TargetError(Exception):
    """The stage to check was not found. The message says what to do."""


class CheckError(Exception):
    """Base class of the ways in which a check does not pass."""


class FailedError(CheckError):
    """The stage does not do what it should.

    `look` says where to look for the reason.
    """

    def __init__(self, expected: str, seen: object, look: str) -> None:
        super().__init__(expected, seen, look)
        self.expected = expected
        self.seen = str(seen)
        self.look = look

    def __str__(self) -> str:
        return f"expected {self.expected}; saw {self.seen}; look at {self.look}"


class SkippedError(CheckError):
    """The check does not apply here."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class UndecidedError(SkippedError):
    """The check could not be made, so the result is unknown."""
