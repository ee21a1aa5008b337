"""Run the soak: `python -m tests.soak --minutes 10`. Exit with 1 if a promise was broken."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.conftest import ROOT
from tests.soak.plan import FAULTS, Plan
from tests.soak.report import plot_of, text_of
from tests.soak.shrinking import smallest
from tests.soak.soak import Report, soak

TRIES = 6


@click.command()
@click.option("--minutes", type=float, default=10.0, help="How long to publish.")
@click.option("--seed", type=int, default=0, help="What chance begins with.")
@click.option("--clients", type=int, default=Plan.clients, help="Clients of all kinds.")
@click.option("--faults", default=",".join(FAULTS), help="The faults, with commas.")
@click.option("--tries", type=int, default=TRIES, help="Further runs, to find a smaller breach.")
def main(minutes: float, seed: int, clients: int, faults: str, tries: int) -> None:
    """Let clients of every kind live through faults for long, and check what must hold."""
    chosen = frozenset(filter(None, faults.split(",")))
    if unknown := chosen - set(FAULTS):
        raise click.BadParameter(f"{sorted(unknown)}; expected some of {', '.join(FAULTS)}")
    plan = Plan(60 * minutes, seed, clients, chosen)
    report = _run(plan)
    if report.breaches:
        kinds = {each.kind for each in report.breaches}
        found = smallest(
            plan, lambda each: bool(kinds & {b.kind for b in _run(each).breaches}), tries
        )
        click.echo(f"the smallest that was seen to break: {found.command}")
    sys.exit(1 if report.breaches else 0)


def _run(plan: Plan) -> Report:
    """Carry out a plan and show its report; keep the log of a run with breaches."""
    click.echo(f"running {plan.command}")
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{plan.seed}-"))
    report = soak(plan, folder)
    for line in text_of(report):
        click.echo(line)
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    name = f"soak-{plan.seed}-{time.strftime('%H%M%S')}.svg"
    (build / name).write_text(plot_of(report))
    click.echo(f"plot: build/{name}")
    if report.breaches:
        click.echo(f"log: {folder / 'log'}")
    else:
        shutil.rmtree(folder)
    return report


if __name__ == "__main__":
    main()
