"""Random calls on the connections table, compared with a dictionary."""

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.store import ConnectionStore
from tests.conftest import TABLE
from tests.fuzz.table_machine import Rows
from tests.support.connections import NO_DEADLINE
from tests.support.machines import try_machine


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(6, 20), pytest.param(150, 40, marks=pytest.mark.proof)],
    ids=["some", "many"],
)
def test_the_store_does_what_a_dictionary_would(
    dynamodb: DynamoDBClient, examples: int, steps: int
) -> None:
    """Each call returns and leaves behind what its documentation says."""

    class Stored(Rows):
        store = ConnectionStore(dynamodb, TABLE, NO_DEADLINE)

    try_machine(Stored, examples=examples, steps=steps, first=1)


def test_a_condition_that_is_forgotten_is_found(
    dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine would be worthless otherwise."""
    monkeypatch.setattr("chalicelib.store._IS_UNCHANGED", "createdAt >= :createdAt")

    class Stored(Rows):
        store = ConnectionStore(dynamodb, TABLE, NO_DEADLINE)

    with pytest.raises(AssertionError):
        try_machine(Stored, examples=10, steps=20, first=1, shrink=False)
