"""What is known of the connection of a row, and what proves that it is dead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.connection import GRACE_S, oldest_possible_ms

if TYPE_CHECKING:
    from chalicelib.connection import Connection


class Verdict(StrEnum):
    """What is known of the connection of a row."""

    TOO_OLD = "too old"
    GONE = "gone"
    YOUNG = "young"
    LIVE = "live"
    UNPROVEN = "unproven"


DEAD = (Verdict.TOO_OLD, Verdict.GONE)


def judge(connection: Connection, now_ms: int) -> Verdict | None:
    """Judge by age alone; None means that the connection has to be probed."""
    if connection.created_at <= oldest_possible_ms(now_ms):
        return Verdict.TOO_OLD
    return Verdict.YOUNG if connection.age_s(now_ms) < GRACE_S else None


def judge_reply(status: int | None) -> Verdict:
    """Judge by what `GET @connections` says of a connection that is past the grace.

    Only "gone" is proof of death: throttling, a denial, a failure or silence prove nothing.
    """
    if status == 410:
        return Verdict.GONE
    return Verdict.LIVE if status == 200 else Verdict.UNPROVEN


@dataclass
class Tally:
    """What one sweep has found and done; `removed` are the rows that it took away itself."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    removed: Counter[Verdict] = field(default_factory=Counter)
    probed: int = 0
    malformed: int = 0
    replaced: int = 0

    @property
    def dead(self) -> int:
        """The connections whose row was still there when they were dead."""
        return sum(self.verdicts[verdict] for verdict in DEAD)

    @property
    def live(self) -> int:
        """The connections that are alive for all that is known."""
        return self.verdicts.total() - self.dead

    @property
    def missed_share(self) -> float:
        """The share of the rows whose connection had died without a `$disconnect`, 0 to 1."""
        return self.dead / self.verdicts.total() if self.dead else 0.0
