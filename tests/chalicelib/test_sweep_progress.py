"""The sweep's row in moto's DynamoDB."""

from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.errors import MalformedRowError, SweepActiveError
from chalicelib.domain.sweep_position import SWEEP_ROW, Position
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE
from tests.support.losing import Losing

NOW_MS = 1731324924561
POSITIONS = (
    Position("a=", NOW_MS, NOW_MS - 1, 7, ("ada", "bob"), NOW_MS - 2, is_settled=False),
    Position(None, NOW_MS),
)


@pytest.fixture
def progress(dynamodb: DynamoDBClient) -> SweepProgress:
    return SweepProgress(dynamodb, TABLE, NO_DEADLINE)


def test_the_position_is_saved_in_a_row_that_is_no_connection(
    dynamodb: DynamoDBClient, progress: SweepProgress
) -> None:
    connections = ConnectionStore(dynamodb, TABLE, NO_DEADLINE)
    assert progress.position() is None

    for position in POSITIONS:
        progress.save(position)

        assert progress.position() == position
    assert list(connections.live(NOW_MS)) == []
    with pytest.raises(MalformedRowError):
        connections.get(SWEEP_ROW)


@pytest.mark.parametrize(("lost", "unsent"), [(1, 0), (0, 1), (1, 1)])
def test_a_lease_of_another_run_keeps_out_one_whose_first_answer_was_lost(
    dynamodb: DynamoDBClient, progress: SweepProgress, lost: int, unsent: int
) -> None:
    """A conflict may come from an attempt of its own, or from the other run."""
    progress.begin(NOW_MS, NOW_MS + 1000)
    losing: Any = Losing(dynamodb, {"update_item": lost}, {"update_item": unsent})

    with pytest.raises(SweepActiveError):
        SweepProgress(losing, TABLE, NO_DEADLINE).begin(NOW_MS + 1, NOW_MS + 2000)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lease_whose_answer_was_lost_is_recognized(
    dynamodb: DynamoDBClient, progress: SweepProgress, lost: int
) -> None:
    progress.save(POSITIONS[0])
    losing: Any = Losing(dynamodb, {"update_item": lost})

    assert SweepProgress(losing, TABLE, NO_DEADLINE).begin(NOW_MS, NOW_MS + 1000) == POSITIONS[0]


def test_a_lease_keeps_others_out_until_its_end(progress: SweepProgress) -> None:
    assert progress.begin(NOW_MS, NOW_MS + 1000) is None

    with pytest.raises(SweepActiveError):
        progress.begin(NOW_MS + 1000, NOW_MS + 2000)

    assert progress.begin(NOW_MS + 1001, NOW_MS + 2000) is None
    progress.end()
    assert progress.begin(NOW_MS + 1002, NOW_MS + 2000) is None
    progress.save(POSITIONS[0])
    assert progress.begin(NOW_MS + 1003, NOW_MS + 2000) == POSITIONS[0]
