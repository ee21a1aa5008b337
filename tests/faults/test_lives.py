"""Random sequences of calls and faults. `python -m tests.faults.fuzz` tries more of them."""

import pytest

from tests.faults.fuzz import try_lives
from tests.faults.world import world


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(5, 12), pytest.param(150, 30, marks=pytest.mark.proof)],
    ids=["some", "many"],
)
def test_random_lives_leave_the_table_and_what_is_told_true(examples: int, steps: int) -> None:
    """Table, metrics and announcements agree with what happened to the connections."""
    with world() as this:
        try_lives(this, examples=examples, steps=steps, seed=1)
