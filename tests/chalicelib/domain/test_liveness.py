"""What proves that a connection is dead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import Connection
from chalicelib.domain.liveness import DEAD, Tally, Verdict, judge, judge_reply

NOW_MS = 1_731_324_924_561
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("age_ms", "verdict"),
    [
        (-5 * SECOND, Verdict.YOUNG),  # by the clock of another machine
        (0, Verdict.YOUNG),
        (60 * SECOND - 1, Verdict.YOUNG),
        (60 * SECOND, None),
        (2 * HOUR, None),
        (2 * HOUR + 5 * MINUTE - 1, None),
        (2 * HOUR + 5 * MINUTE, Verdict.TOO_OLD),
        (48 * HOUR, Verdict.TOO_OLD),
    ],
)
def test_age_alone_decides_at_both_ends(age_ms: int, verdict: Verdict | None) -> None:
    """Past 2 hours and a margin no connection lives; within the grace no probe proves anything."""
    assert judge(Connection("id=", NOW_MS - age_ms, 0), NOW_MS) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.LIVE),
        (410, Verdict.GONE),
        (400, Verdict.UNPROVEN),
        (403, Verdict.UNPROVEN),
        (404, Verdict.UNPROVEN),
        (429, Verdict.UNPROVEN),
        (500, Verdict.UNPROVEN),
        (503, Verdict.UNPROVEN),
        (None, Verdict.UNPROVEN),  # no answer
    ],
)
def test_only_gone_is_proof_of_death(status: int | None, verdict: Verdict) -> None:
    """Throttling, a denial, a failure or silence prove nothing."""
    assert judge_reply(status) is verdict


@given(st.none() | st.integers(100, 599))
def test_no_other_answer_ever_kills(status: int | None) -> None:
    """Whatever comes, a row goes for one status only."""
    assert (judge_reply(status) in DEAD) is (status == 410)


def test_what_is_not_proven_counts_as_alive() -> None:
    """Young and unproven connections are alive for all that is known."""
    tally = Tally()
    tally.verdicts.update(Verdict)

    assert (tally.live, tally.dead) == (3, 2)
    assert tally.missed_share == 2 / 5


def test_an_empty_table_has_missed_nothing() -> None:
    """No rows, no share."""
    assert Tally().missed_share == 0.0
