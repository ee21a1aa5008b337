"""The search for the smallest plan, with runs that are made up."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.soak.plan import FAULTS, Plan
from tests.soak.shrinking import FEWEST_CLIENTS, LONGEST_S, smallest

PLAN = Plan(60, 1)


@pytest.mark.parametrize(
    ("breaks", "faults", "clients"),
    [
        (lambda _: True, set(), FEWEST_CLIENTS),
        (lambda plan: "kills" in plan.faults, {"kills"}, FEWEST_CLIENTS),
        (
            lambda plan: {"cuts", "restarts"} <= plan.faults and plan.clients > 40,
            {"cuts", "restarts"},
            50,
        ),
        (lambda _: False, set(FAULTS), PLAN.clients),
    ],
)
def test_it_finds_what_is_needed(
    breaks: Callable[[Plan], bool], faults: set[str], clients: int
) -> None:
    found = smallest(PLAN, breaks, 100)

    assert found.faults == faults
    assert clients <= found.clients < 2 * clients
    assert (found.seconds, found.seed) == (PLAN.seconds, PLAN.seed)


def test_smaller_plans_of_a_long_soak_are_short() -> None:
    """It does not take hours to look for them."""
    tried: list[Plan] = []

    def breaks(plan: Plan) -> bool:
        tried.append(plan)
        return "kills" in plan.faults

    found = smallest(replace(PLAN, seconds=3600), breaks, 100)

    assert {plan.seconds for plan in tried} == {found.seconds} == {LONGEST_S}


def test_it_gives_up_after_some_tries() -> None:
    tried: list[Plan] = []

    def breaks(plan: Plan) -> bool:
        tried.append(plan)
        return False

    assert smallest(PLAN, breaks, 3) == PLAN
    assert len(tried) == 3
