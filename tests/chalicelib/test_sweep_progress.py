"""The sweep's row in moto's DynamoDB."""

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.errors import MalformedRowError, SweepActiveError
from chalicelib.domain.sweep_position import SWEEP_ROW, Position
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE

NOW_MS = 1731324924561
POSITIONS = (Position("a=", NOW_MS, NOW_MS - 1, 7, ("ada", "bob")), Position(None, NOW_MS))


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


def test_a_lease_keeps_others_out_until_its_end(progress: SweepProgress) -> None:
    assert progress.begin(NOW_MS, NOW_MS + 1000) is None

    with pytest.raises(SweepActiveError):
        progress.begin(NOW_MS + 1000, NOW_MS + 2000)

    assert progress.begin(NOW_MS + 1001, NOW_MS + 2000) is None
    progress.end()
    assert progress.begin(NOW_MS + 1002, NOW_MS + 2000) is None
    progress.save(POSITIONS[0])
    assert progress.begin(NOW_MS + 1003, NOW_MS + 2000) == POSITIONS[0]
