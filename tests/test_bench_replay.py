"""The comparison of ways to number notifications."""

import subprocess
import sys

import pytest

from bench.replay.contention import Burst
from bench.replay.numberings import Chain, Counter, TimeStamps
from bench.replay.simulation import Case, simulate
from tests.conftest import ROOT

CASE = Case(seed=1, readers=10, publications=300)


def test_the_chain_loses_none_and_keeps_the_order() -> None:
    """And reports no gap: nothing has expired."""
    chain = Chain()

    result = simulate(CASE, chain)

    assert (result.lost, result.twice, chain.gaps) == (0, 0, 0)
    assert not any(map(chain.disorder, range(CASE.readers)))


@pytest.mark.parametrize("numbering", [Counter(), TimeStamps(2)], ids=["counter", "time"])
def test_the_other_ways_lose(numbering: Counter | TimeStamps) -> None:
    """So the simulation is hard enough."""
    result = simulate(CASE, numbering)

    assert result.readers_that_lost > 1
    assert any(map(numbering.disorder, range(CASE.readers)))


def test_every_append_of_a_burst_is_recorded_in_time() -> None:
    """With 5 s instead of a minute, many would be given up."""
    burst = Burst(300, 1).run()

    assert len(burst.took) == 300
    assert burst.refused > 300
    assert len(Burst(300, 1, limit=5).run().took) < 300


@pytest.mark.proof
def test_the_writes_are_compared() -> None:
    """With the project's history, on the embedded DynamoDB."""
    command = [sys.executable, "-m", "bench.replay.writes", "--seconds=1", "--clients=30"]

    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert printed.count("appends/s") == 2
    assert "30 named clients" in printed
