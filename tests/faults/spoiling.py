"""What can happen to a call, and which calls it happens to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What happens to a call, and whether the service carries it out."""

    RESET = "reset before the work"
    HANG = "no work, no answer"
    REFUSE = "connection refused"
    THROTTLE = "throttled"
    ERROR = "error 500"
    DENY = "denied"
    LOSE = "answer lost by a reset"
    CLOSE = "answer lost by a close"
    LATE = "work, then no answer"
    HALF_RESET = "reset within the answer"
    HALF_CLOSE = "closed within the answer"
    GARBAGE = "work, then garbage"
    DRIP = "answer drips"
    DELAY = "answer delayed"
    RESET_AFTER = "reset after the answer"
    CLOSE_AFTER = "closed after the answer"


# The service refuses such a call itself, or it never sees it.
NO_WORK = {
    *(Fault.RESET, Fault.HANG, Fault.REFUSE, Fault.THROTTLE, Fault.ERROR, Fault.DENY),
}
# The service carries such a call out, and the function need not get to know that.
LOST = {
    *(Fault.LOSE, Fault.CLOSE, Fault.LATE, Fault.HALF_RESET, Fault.HALF_CLOSE, Fault.GARBAGE),
    *(Fault.DRIP, Fault.RESET_AFTER),
}
# The function cannot know whether the service has carried such a call out.
UNCERTAIN = LOST | {Fault.RESET, Fault.HANG, Fault.REFUSE, Fault.ERROR}


@dataclass(frozen=True)
class Spoiled:
    """The calls to spoil: the `number`th call of an operation, from 1, or all from it on.

    `GET *` is every GET, whatever connection it is for. `service` is the name of the service.
    """

    service: str
    operation: str
    number: int
    fault: Fault
    for_ever: bool = False

    def __str__(self) -> str:
        for_ever = " for ever" if self.for_ever else ""
        return f"{self.service} {self.operation} #{self.number} {self.fault}{for_ever}"

    @property
    def takes_down(self) -> bool:
        """Return whether the service is down for good, clean-ups included."""
        return self.fault is Fault.REFUSE and self.for_ever

    def includes(self, calls: Sequence[str]) -> bool:
        """Return whether the last of these calls is spoiled."""
        if not matches(calls[-1], self.operation):
            return False
        number = sum(matches(call, self.operation) for call in calls)
        return number == self.number or (self.for_ever and number > self.number)


def matches(call: str, operation: str) -> bool:
    """Return whether a call is one of an operation."""
    return call == operation or (operation.endswith("*") and call.startswith(operation[:-1]))
