"""Two minutes of the soak."""

from pathlib import Path

import pytest

from tests.soak.plan import Plan
from tests.soak.report import text_of
from tests.soak.soak import soak

pytestmark = pytest.mark.proof
PLAN = Plan(seconds=120, seed=1, clients=60)


def test_every_promise_holds_while_everything_fails(tmp_path: Path) -> None:
    report = soak(PLAN, tmp_path)

    assert report.breaches == [], "\n".join(text_of(report))
    for fault in ("cuts", "kicks", "kills", "database", "reloads"):
        assert report.counts[fault] > 0, fault
    assert report.counts["restarts"] >= 2  # killed, and stopped
    assert report.counts["complete passes"] > 5
    assert report.counts["given to plain clients"] > 100
    assert report.counts["recovered by them"] > 100
