"""The result of a check, and the line that shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from accept.errors import CheckError, FailedError, UndecidedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accept.run import Run
    from accept.target import Target

NAME_WIDTH = 24


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Result:
    """The result of one check. `detail` says what was seen, or why it did not pass."""

    name: str
    status: Status
    detail: str
    seconds: float = 0.0

    def line(self) -> str:
        """Return the line that shows the result."""
        return f"{self.status:<8} {self.name:<{NAME_WIDTH}} {self.detail}".rstrip()


def not_passed(name: str, error: CheckError, seconds: float) -> Result:
    """Return the result of a check that raised `error`."""
    if isinstance(error, FailedError):
        status = Status.FAILED
    elif isinstance(error, UndecidedError):
        status = Status.UNKNOWN
    else:
        status = Status.SKIPPED
    return Result(name, status, str(error), seconds)


def good(results: Sequence[Result]) -> bool:
    """Return whether every check passed or was skipped."""
    return all(result.status in (Status.PASSED, Status.SKIPPED) for result in results)


def summary(results: Sequence[Result], run: Run) -> str:
    """Return the last line: how many checks ended how, and what the run took."""
    counts = ", ".join(
        f"{number} {status}"
        for status in Status
        if (number := sum(result.status is status for result in results))
    )
    return f"{counts}; {run.handshakes} handshakes, {run.aws.calls} calls, {run.seconds():.0f} s"


def report(results: Sequence[Result], run: Run, target: Target) -> dict[str, Any]:
    """Return the results for `--json`."""
    return {
        "target": {"kind": target.kind, "stage": target.stage, "url": target.url},
        "run": run.id,
        "passed": good(results),
        "handshakes": run.handshakes,
        "calls": run.aws.calls,
        "seconds": round(run.seconds(), 1),
        "checks": [asdict(result) for result in results],
    }
