"""Random sequences beside the sweep, and of notifications. `make fuzz` tries more of them."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from tests.faults.world import world
from tests.fuzz.delivery_machine import Deliveries
from tests.fuzz.sweep_machine import Sweeps
from tests.support.machines import try_machine


@pytest.mark.parametrize("machine", [Sweeps, Deliveries])
@pytest.mark.parametrize(
    ("examples", "steps"),
    [(4, 10), pytest.param(60, 25, marks=pytest.mark.proof)],
    ids=["some", "many"],
)
def test_nothing_is_lost_whatever_comes_between(
    machine: type[RuleBasedStateMachine], examples: int, steps: int
) -> None:
    """Rows are the living, each end is told, and each reader knows each notification."""
    with world() as this:
        here = type("Here", (machine,), {"world": this})
        try_machine(here, examples=examples, steps=steps, first=1)
