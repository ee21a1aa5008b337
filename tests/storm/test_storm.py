"""A minute of the storm."""

from pathlib import Path

import pytest

from tests.storm.storm import storm

pytestmark = pytest.mark.proof
SEED = 1


def test_each_client_gets_each_notification_once_and_in_order(tmp_path: Path) -> None:
    report = storm(tmp_path / "project", seconds=60, publications=60, seed=SEED)

    assert report.breaches == (), f"seed {SEED}"
    assert report.publications == 61
    assert report.kills > 2
    assert report.kicks > 5
    assert report.recovered > 100
    assert report.cuts > 100
