"""Random sequences of calls and faults. `make fuzz` tries more of them."""

import contextlib

import pytest

from tests.faults.machine import Lives
from tests.faults.spoiling import Fault, Spoiled
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


@pytest.mark.parametrize(("age_s", "is_allowed"), [(1, True), (61, False)])
def test_only_a_kick_that_is_due_lets_a_later_sweep_close_the_connection(
    age_s: int, is_allowed: bool
) -> None:
    """It is due if the handshake may still be running, and else the answer said that it failed."""
    with world() as this:

        class Here(Lives):
            world = this

        lives = Here()
        lives.begin()
        lives.connect("alice", None)
        lives.wait(age_s)
        lives.kick("alice", Spoiled("connections", "DELETE *", 1, Fault.DENY, for_ever=True))
        [connection_id] = this.api.inboxes.copy()
        this.leave(connection_id)
        this.opened[connection_id].has_left = False
        this.api.closed.append(connection_id)

        failure = contextlib.nullcontext() if is_allowed else pytest.raises(AssertionError)
        with failure:
            lives.check_replaced()
