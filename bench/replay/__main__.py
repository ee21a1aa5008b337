"""Compare ways to number notifications in a simulation: `python -m bench.replay`.

Nothing is sent, and nothing depends on the machine. `--check` fails if the chain loses one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

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


def row(name: str, make: Callable[[], Numbering], case: Case, seeds: int) -> tuple[str, int]:
    """Return the line of one way over several seeds, and how many notifications it lost."""
    lost, readers, disorder, recoveries = [], [], [], []
    for seed in range(seeds):
        numbering = make()
        result = simulate(Case(seed, case.readers, case.publications), numbering)
        lost.append(result.lost)
        readers.append(result.readers_that_lost)
        disorder.append(sum(map(numbering.disorder, range(case.readers))))
        recoveries.append(result.recoveries / case.readers)
    cells = [*map(span, (lost, readers, disorder)), f"{sum(recoveries) / seeds:.0f}"]
    return f"| {name} | {' | '.join(cells)} | {make().write_units} |", sum(lost)


def span(found: list[int]) -> str:
    """Return the lowest and the highest of some numbers."""
    return f"{min(found):,}" if min(found) == max(found) else f"{min(found):,} to {max(found):,}"


@click.command(name="python -m bench.replay")
@click.option("--seeds", default=3, show_default=True)
@click.option("--readers", default=60, show_default=True)
@click.option("--publications", default=1000, show_default=True)
@click.option("--check", is_flag=True, help="Fail if the chain loses a notification.")
def main(seeds: int, readers: int, publications: int, *, check: bool) -> None:
    """Print what each way loses, of all notifications to all readers."""
    click.echo(f"{readers * publications:,} notifications to be shown, {seeds} seeds\n")
    click.echo(f"{HEAD}\n{RULE}")
    for name, make in WAYS.items():
        line, lost = row(name, make, Case(0, readers, publications), seeds)
        click.echo(line)
        if check and name == "chain" and lost:
            raise SystemExit(f"the chain lost {lost} notifications")


if __name__ == "__main__":
    main()
