"""Runs the matrix: `python -m tests.faults --report`."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict

import click

from tests.faults.matrix import Case, cases, run
from tests.faults.world import world

_perf_counter = time.perf_counter


@click.command()
@click.option("--only", help="Only this function.")
@click.option("--seed", type=int, default=None, help="Run in a random order.")
@click.option("--sample", type=int, default=None, help="Run only so many cases.")
@click.option("--report", is_flag=True, help="Print the failing cases one by one, too.")
@click.option("--match", default="", help="Only cases whose name holds this.")
def main(only: str | None, seed: int | None, sample: int | None, report: bool, match: str) -> None:
    """Run every case and print how many fail, by function and kind."""
    started = _perf_counter()
    found: dict[str, list[tuple[Case, str]]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    with world() as this:
        chosen = [case for case in cases(this, only) if match in str(case)]
        if seed is not None:
            random.Random(seed).shuffle(chosen)
        for case in chosen[:sample]:
            sizes[case.scenario.function] += 1
            broken = run(this, case)
            failed[case.scenario.function] += bool(broken)
            for failure in broken:
                found[failure.kind].append((case, failure.found))
    seconds = _perf_counter() - started
    click.echo(f"{sizes.total()} cases in {seconds:.0f} s, {failed.total()} of them fail")
    for function, size in sizes.items():
        click.echo(f"  {function:12} {size:5} cases, {failed[function]:4} fail")
    click.echo("\nFailures by kind (a case can fail in several ways)")
    for kind, broken_cases in sorted(found.items(), key=lambda item: -len(item[1])):
        functions = Counter(case.scenario.function for case, _ in broken_cases)
        shares = ", ".join(f"{function} {count}" for function, count in functions.items())
        click.echo(f"  {len(broken_cases):5} {kind}: {shares}")
    if report:
        for kind, broken_cases in sorted(found.items()):
            click.echo(f"\n{kind}")
            for case, text in broken_cases:
                click.echo(f"  {case}  [{text}]")


if __name__ == "__main__":
    main()
