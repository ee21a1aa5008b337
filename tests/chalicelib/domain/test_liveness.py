import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import Connection
from chalicelib.domain.liveness import DEAD, Tally, Verdict, is_silent, judge, judge_reply

NOW_MS = 1_731_324_924_561
MINUTE_MS = 60_000
QUOTA_AND_MARGIN_MS = (120 + 5) * MINUTE_MS


@pytest.mark.parametrize(
    ("age_ms", "verdict"),
    [
        (-5000, Verdict.YOUNG),  # by the clock of another machine
        (0, Verdict.YOUNG),
        (MINUTE_MS - 1, Verdict.YOUNG),
        (MINUTE_MS, None),
        (QUOTA_AND_MARGIN_MS - 1, None),
        (QUOTA_AND_MARGIN_MS, Verdict.TOO_OLD),
        (48 * 60 * MINUTE_MS, Verdict.TOO_OLD),
    ],
)
def test_only_a_probe_can_judge_between_the_grace_period_and_the_maximum_age(
    age_ms: int, verdict: Verdict | None
) -> None:
    assert judge(Connection("id=", NOW_MS - age_ms, 0), NOW_MS) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.LIVE),
        (410, Verdict.GONE),
        *((status, Verdict.UNPROVEN) for status in (400, 403, 404, 429, 500, 503)),
        (None, Verdict.UNPROVEN),  # no answer
    ],
)
def test_only_410_proves_that_a_connection_is_dead(status: int | None, verdict: Verdict) -> None:
    assert judge_reply(status, is_young=False) is verdict


@pytest.mark.parametrize(
    ("last_active_ms", "silent"),
    [
        (NOW_MS - 90_001, True),
        (NOW_MS - 90_000, False),
        (NOW_MS, False),
        (NOW_MS + 10**9, False),  # by the clock of another machine
        (None, False),
    ],
)
def test_a_client_is_silent_if_it_was_not_heard_for_longer(
    last_active_ms: int | None, *, silent: bool
) -> None:
    assert is_silent(last_active_ms, NOW_MS, 90) is silent


@pytest.mark.parametrize("status", [None, 200, 403, 410, 429, 500])
def test_only_a_connection_that_is_there_can_be_silent(status: int | None) -> None:
    judged = judge_reply(status, is_young=False, is_silent=True)

    assert (judged is Verdict.SILENT) is (status == 200)
    assert Verdict.SILENT not in DEAD


@given(st.none() | st.integers(100, 599))
def test_no_other_status_removes_a_row(status: int | None) -> None:
    assert (judge_reply(status, is_young=False) in DEAD) is (status == 410)
    assert judge_reply(status, is_young=True) not in DEAD


def test_the_names_of_the_verdicts_are_those_of_the_report() -> None:
    assert list(Verdict) == ["too old", "gone", "young", "live", "silent", "unproven"]


def test_a_connection_that_is_not_proven_dead_counts_as_live() -> None:
    tally = Tally(silent=1)
    tally.verdicts.update(Verdict)

    assert (tally.live, tally.dead) == (3, 2)
    assert tally.missed_share == 2 / 6


def test_an_empty_tally_counts_nothing() -> None:
    tally = Tally()

    assert (tally.live, tally.dead, tally.malformed, tally.replaced) == (0, 0, 0, 0)
    assert tally.missed_share == 0.0
