"""A minute of the storm, and what counts as a breach."""

from pathlib import Path
from typing import Any

import pytest

from tests.storm.storm import breaches_of, storm
from tests.support.readers import Told

SEED = 1


@pytest.mark.proof
def test_each_client_gets_each_notification_once_and_in_order(tmp_path: Path) -> None:
    report = storm(tmp_path / "project", seconds=60, publications=60, seed=SEED)

    assert report.breaches == (), f"seed {SEED}"
    assert report.publications == 61
    assert report.kills > 2
    assert report.kicks > 5
    assert report.recovered > 100
    assert report.cuts > 100


def note(number: int, seq: int | None) -> dict[str, Any]:
    """Return a notification as a client is told it, on the stream `all` if it was recorded."""
    recorded = {} if seq is None else {"stream": "all", "seq": seq}
    return {"id": f"id-{number}", **recorded}


@pytest.mark.parametrize(
    ("given", "breaches"),
    [
        ([(1, 1), (2, None), (3, 2)], []),
        ([(1, 1), (3, 2)], ["not given: id-2"]),
        ([(1, 2), (2, None), (3, 1)], ["out of order: all"]),
        ([(1, 1), (2, None), (2, None), (3, 2)], ["given 2 times: id-2"]),
        ([(1, 1), (2, 2), (3, 3), (4, 4)], ["not for it: id-4"]),
    ],
)
def test_what_a_client_was_not_told_as_promised(
    given: list[tuple[int, int | None]], breaches: list[str]
) -> None:
    """A notification that could not be recorded has no place in a stream."""
    told = Told([note(*each) for each in given])

    assert breaches_of(told, {"id-1", "id-2", "id-3"}) == breaches
