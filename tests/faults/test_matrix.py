"""The functions under faults. `python -m tests.faults --report` lists what fails, and how."""

import random
from collections.abc import Iterator

import pytest

from tests.faults.known import KNOWN
from tests.faults.matrix import Case, cases, run
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World, world

SAMPLE = 3  # cases of each scenario, with the one in calm
SEED = 1
FEW = [scenario for scenario in SCENARIOS if not scenario.is_crowd]


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


@pytest.mark.parametrize("scenario", FEW, ids=lambda scenario: scenario.name)
def test_a_sample_of_faults_breaks_nothing(this_world: World, scenario: Scenario) -> None:
    """Some faults of each scenario, always the same."""
    calm, *spoiled = cases(this_world, scenario)
    sample = random.Random(SEED).sample(spoiled, min(SAMPLE - 1, len(spoiled)))

    assert broken(this_world, [calm, *sample]) == []


@pytest.mark.proof
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_breaks_anything(this_world: World, scenario: Scenario) -> None:
    """Every fault of each scenario."""
    assert broken(this_world, list(cases(this_world, scenario))) == []
