"""Runs the matrix in several processes and reports how many cases fail, and how."""

import random
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import click

from tests.faults.matrix import cases, run, second_cases
from tests.faults.scenarios import SCENARIOS
from tests.faults.world import world

# One case: its name, its scenario, and a kind and a finding for each invariant broken.
Outcome = tuple[str, str, list[tuple[str, str]]]

_perf_counter = time.perf_counter


def share(
    number: int,
    shares: int,
    only: str | None,
    match: str,
    seed: int | None,
    sample: int | None,
    pairs: bool,
) -> list[Outcome]:
    """Run every `shares`th case from `number` on."""
    outcomes: list[Outcome] = []
    with world() as this:
        chosen = [
            case
            for scenario in SCENARIOS
            if only in (None, scenario.function)
            for case in (second_cases if pairs else cases)(this, scenario)
            if match in str(case)
        ]
        if seed is not None:
            random.Random(seed).shuffle(chosen)
        for case in chosen[:sample][number::shares]:
            broken = [(failure.kind, failure.found) for failure in run(this, case)]
            outcomes.append((str(case), case.scenario.name, broken))
    return outcomes


@click.command()
@click.option("--only", help="Only this function.")
@click.option("--match", default="", help="Only cases whose name holds this.")
@click.option("--seed", type=int, help="Run in a random order.")
@click.option("--sample", type=int, help="Run only so many cases.")
@click.option("--jobs", type=int, default=2, help="Processes to run them in.")
@click.option("--pairs", is_flag=True, help="Two faults at a time.")
@click.option("--list", "listing", is_flag=True, help="Print only the names of what fails.")
@click.option("--report", is_flag=True, help="Print the failing cases one by one, too.")
def main(
    only: str | None,
    match: str,
    seed: int | None,
    sample: int | None,
    jobs: int,
    report: bool,
    listing: bool,
    pairs: bool,
) -> None:
    """Run the cases and print how many fail, by function and kind."""
    started = _perf_counter()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(share, number, jobs, only, match, seed, sample, pairs)
            for number in range(jobs)
        ]
        outcomes = sorted(outcome for each in running for outcome in each.result())
    if listing:
        click.echo("\n".join(name for name, _, broken in outcomes if broken))
        return
    _print_sizes(outcomes, _perf_counter() - started)
    _print_kinds(outcomes)
    if report:
        _print_cases(outcomes)


def _print_sizes(outcomes: list[Outcome], seconds: float) -> None:
    failed = sum(bool(broken) for _, _, broken in outcomes)
    click.echo(f"{len(outcomes)} cases in {seconds:.0f} s, {failed} of them fail")
    sizes = Counter(scenario for _, scenario, _ in outcomes)
    fails = Counter(scenario for _, scenario, broken in outcomes if broken)
    for scenario, size in sizes.items():
        click.echo(f"  {scenario:32} {size:5} cases, {fails[scenario]:4} fail")


def _print_kinds(outcomes: list[Outcome]) -> None:
    calm = {
        (scenario, kind)
        for name, scenario, broken in outcomes
        if name == scenario
        for kind, _ in broken
    }
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _, scenario, broken in outcomes:
        function = scenario.partition(":")[0]
        for kind in {kind for kind, _ in broken}:
            counts[f"{kind} (in calm, too)" if (scenario, kind) in calm else kind][function] += 1
    click.echo("\nCases by kind (a case can fail in several ways)")
    for kind, functions in sorted(counts.items(), key=lambda item: -item[1].total()):
        shares = ", ".join(f"{function} {count}" for function, count in functions.items())
        click.echo(f"  {functions.total():5} {kind}: {shares}")


def _print_cases(outcomes: list[Outcome]) -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, _, broken in outcomes:
        for kind, text in broken:
            found[kind].append(f"  {name}  [{text}]")
    for kind, names in sorted(found.items()):
        click.echo("\n".join(["", kind, *names]))
