"""Whether the connection of a row is alive, and what proves that it is dead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.connection import GRACE_S, MARGIN_MS, oldest_possible_ms

if TYPE_CHECKING:
    from chalicelib.domain.connection import Connection


class Verdict(StrEnum):
    """What the sweep knows about the connection of a row."""

    TOO_OLD = "too old"
    GONE = "gone"
    YOUNG = "young"
    LIVE = "live"
    SILENT = "silent"
    UNPROVEN = "unproven"


DEAD = (Verdict.TOO_OLD, Verdict.GONE)


def is_young(connection: Connection, now_ms: int) -> bool:
    """Return whether the connection is within the grace period, when a 410 proves nothing.

    A `createdAt` further ahead than clocks can differ is not young: a probe has to tell.
    """
    return -MARGIN_MS < now_ms - connection.created_at < GRACE_S * 1000


def judge(connection: Connection, now_ms: int, *, young: bool = False) -> Verdict | None:
    """Judge by age alone. None means that only a probe can tell.

    A connection within the grace period is `YOUNG`, unless `young` asks to probe it as well.
    """
    if connection.created_at <= oldest_possible_ms(now_ms):
        return Verdict.TOO_OLD
    return Verdict.YOUNG if is_young(connection, now_ms) and not young else None


def judge_reply(status: int | None, is_young: bool, *, is_silent: bool = False) -> Verdict:
    """Judge by the answer to `GET @connections`.

    Only 410 proves that a connection is dead, past the grace period: throttling, a denial, a
    failure or no answer prove nothing. API Gateway has a connection that `is_silent`, but its
    client is presumed to have lost its network.
    """
    if status == 410:
        return Verdict.YOUNG if is_young else Verdict.GONE
    if status != 200:
        return Verdict.UNPROVEN
    return Verdict.SILENT if is_silent else Verdict.LIVE


def is_silent(last_active_ms: int | None, now_ms: int, silent_after_s: int) -> bool:
    """Return whether nothing was heard from a client for over `silent_after_s`. Times are epoch ms.

    None says that this is not known. A time that is yet to come proves nothing.
    """
    return last_active_ms is not None and now_ms - last_active_ms > silent_after_s * 1000


@dataclass
class Tally:
    """Counts of one sweep.

    `removed` counts the rows that this sweep deleted itself, `replaced`, `expired` and
    `silent` the connections that it closed.
    """

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    removed: Counter[Verdict] = field(default_factory=Counter)
    malformed: int = 0
    replaced: int = 0
    expired: int = 0
    silent: int = 0

    def count_removed(self, verdict: Verdict | None) -> None:
        """Count a removed row, by the verdict on its connection."""
        if verdict is not None:
            self.removed[verdict] += 1

    @property
    def dead(self) -> int:
        """Connections found dead while their row still existed."""
        return sum(self.verdicts[verdict] for verdict in DEAD)

    @property
    def live(self) -> int:
        """Connections presumed alive, silent ones that could not be closed among them."""
        return self.verdicts.total() - self.dead - self.silent

    @property
    def missed_share(self) -> float:
        """Share of the rows whose connection had ended without a `$disconnect`, 0 to 1."""
        return self.dead / self.verdicts.total() if self.dead else 0.0
