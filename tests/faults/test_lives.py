"""Random sequences of calls and faults. `make fuzz` tries more of them."""

import pytest

from tests.faults.machine import Lives
from tests.faults.world import world
from tests.support.machines import try_machine


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(5, 12), pytest.param(150, 30, marks=pytest.mark.proof)],
    ids=["some", "many"],
)
def test_random_lives_leave_the_table_and_what_is_told_true(examples: int, steps: int) -> None:
    """Table, metrics and announcements agree with what happened to the connections."""
    with world() as this:

        class Here(Lives):
            world = this

        try_machine(Here, examples=examples, steps=steps, first=1)
