"""Random sequences beside the sweep, and of notifications. `make fuzz` tries more of them."""

from collections.abc import Callable

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


@pytest.mark.proof
@pytest.mark.parametrize(
    ("machine", "method", "broken"),
    [
        (Deliveries, "chalicelib.claims.Claims.hand_out", lambda *_: None),
        (Sweeps, "chalicelib.store.ConnectionStore.remove", lambda _self, judged: judged),
    ],
)
def test_what_is_broken_on_purpose_is_found(
    monkeypatch: pytest.MonkeyPatch,
    machine: type[RuleBasedStateMachine],
    method: str,
    broken: Callable[..., object],
) -> None:
    """A claim that is not written, and an end that is told of a row that stays."""
    monkeypatch.setattr(method, broken)

    with world() as this:
        here = type("Here", (machine,), {"world": this})
        with pytest.raises(AssertionError):
            try_machine(here, examples=10, steps=12, first=1, shrink=False)
