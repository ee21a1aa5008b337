"""The functions under faults. `python -m tests.faults --report` lists what fails, and how."""

from collections.abc import Iterator

import pytest

from tests.faults.known import KNOWN
from tests.faults.matrix import Case, cases, run
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World, world


@pytest.fixture(scope="module")
def this_world() -> Iterator[World]:
    """Run the services behind their proxies."""
    with world() as this:
        yield this


def broken(world: World, chosen: list[Case]) -> list[str]:
    """Return the cases in which an invariant does not hold, unless that is known, or is not so."""
    found = []
    for case in chosen:
        failures = run(world, case)
        if bool(failures) != (str(case) in KNOWN):
            found.append(f"{case}: {failures or 'known to fail, but does not'}")
    return found


@pytest.mark.proof
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_breaks_anything(this_world: World, scenario: Scenario) -> None:
    """Every fault of each scenario."""
    assert broken(this_world, list(cases(this_world, scenario))) == []
