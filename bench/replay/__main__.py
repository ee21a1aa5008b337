"""Compare ways to number notifications: `PYTHONPATH=clients/python python -m bench.replay`.

Two simulations: nothing is sent, and nothing depends on the machine. `--check` fails if the chain
loses a notification or shows one out of order, or if an append of a burst is given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.replay.contention import Burst
from bench.replay.numberings import Chain, Counter, TimeStamps
from bench.replay.simulation import Case, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.replay.simulation import Numbering

WAYS: dict[str, Callable[[], Numbering]] = {
    "chain": Chain,
    "counter": Counter,
    "time, last 2 s again": lambda: TimeStamps(2),
    "time, last 60 s again": lambda: TimeStamps(60),
}
HEAD = "| | lost | readers that lost | out of order | recoveries a reader | write units |"
RULE = "|---|--:|--:|--:|--:|--:|"
BURSTS = ((300, 1), (300, 5), (1000, 1), (1000, 5))


def row(name: str, make: Callable[[], Numbering], case: Case, seeds: int) -> tuple[str, int]:
    """Return the line of one way over several seeds, and how many times it broke the promise."""
    lost, readers, disorder, recoveries = [], [], [], []
    for seed in range(seeds):
        numbering = make()
        result = simulate(Case(seed, case.readers, case.publications), numbering)
        lost.append(result.lost)
        readers.append(result.readers_that_lost)
        disorder.append(sum(map(numbering.disorder, range(case.readers))))
        recoveries.append(result.recoveries / case.readers)
    cells = [*map(span, (lost, readers, disorder)), f"{sum(recoveries) / seeds:.0f}"]
    return f"| {name} | {' | '.join(cells)} | {make().write_units} |", sum(lost) + sum(disorder)


def burst(count: int, seconds: float, seeds: int) -> tuple[str, int]:
    """Return the line of one burst over several seeds, and how many appends were given up."""
    done = [Burst(count, seconds, seed=seed).run() for seed in range(seeds)]
    slowest = max(max(each.took) for each in done)
    cells = (
        span([len(each.took) for each in done]),
        f"{slowest:.1f} s",
        span([each.refused for each in done]),
    )
    given_up = sum(count - len(each.took) for each in done)
    return f"| {count:,} in {seconds} s | {' | '.join(cells)} |", given_up


def span(found: list[int]) -> str:
    """Return the lowest and the highest of some numbers."""
    return f"{min(found):,}" if min(found) == max(found) else f"{min(found):,} to {max(found):,}"


@click.command(name="python -m bench.replay")
@click.option("--seeds", default=3, show_default=True)
@click.option("--readers", default=60, show_default=True)
@click.option("--publications", default=1000, show_default=True)
@click.option("--check", is_flag=True, help="Fail if the chain breaks its promise.")
def main(seeds: int, readers: int, publications: int, *, check: bool) -> None:
    """Print what each way loses, of all notifications to all readers."""
    click.echo(f"{readers * publications:,} notifications to be shown, {seeds} seeds\n")
    click.echo(f"{HEAD}\n{RULE}")
    for name, make in WAYS.items():
        line, broken = row(name, make, Case(0, readers, publications), seeds)
        click.echo(line)
        if check and name == "chain" and broken:
            raise SystemExit(f"the chain lost or misplaced {broken} notifications")
    click.echo("\n| burst | recorded | slowest | refused transactions |\n|---|--:|--:|--:|")
    for count, seconds in BURSTS:
        line, given_up = burst(count, seconds, seeds)
        click.echo(line)
        if check and given_up:
            raise SystemExit(f"{given_up} appends were given up")


if __name__ == "__main__":
    main()
