"""Run the storm: `python -m tests.storm --minutes 10`. Exit with 1 if a client missed anything."""

import sys
import tempfile
from pathlib import Path

import click

from tests.storm.storm import storm

PER_MINUTE = 100


@click.command()
@click.option("--minutes", type=float, default=10.0, help="How long to publish.")
@click.option("--seed", type=int, default=0, help="What the random faults begin with.")
@click.option("--per-minute", type=int, default=PER_MINUTE, help="Publications.")
def main(minutes: float, seed: int, per_minute: int) -> None:
    """Let clients of both libraries live through faults, and check what they were given."""
    with tempfile.TemporaryDirectory() as folder:
        number = round(minutes * per_minute)
        report = storm(
            Path(folder) / "project", seconds=60 * minutes, publications=number, seed=seed
        )
    click.echo(
        f"seed {seed}: {report.publications} published, {report.given} given, of them "
        f"{report.recovered} recovered; {report.cuts} cuts, {report.kills} kills, "
        f"{report.kicks} kicks, {report.failures} failed invocations of notify"
    )
    for breach in report.breaches:
        click.echo(breach)
    sys.exit(1 if report.breaches else 0)


if __name__ == "__main__":
    main()
