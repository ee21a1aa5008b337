"""Time the sweep of 10,000 and 100,000 rows: `python -m bench.sweep`.

DynamoDB and `@connections` are a stub in a process of its own, which answers at once and whose
rows are made up as they are read: what is timed is the code, not AWS. 1 % of the rows are dead,
half of them older than 2 hours. The limit of 500 probes a second, which decides how long a sweep
takes in AWS, is lifted.

The baseline is what one would write first: a scan, and a `get_connection` of boto3 for each row.
It sweeps a sample, since its time grows with the rows alone.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from bench.sweep.stub import CYCLE

ROOT = Path(__file__).resolve().parents[2]
SIZES = (10_000, 100_000)
SAMPLE = 2_000
TIMEOUT_S = 100.0
# What the memory of ten times the rows may be larger by: less than 50 bytes a row.
FLAT = 4 * 2**20
TIMES_THE_BASELINE = 5
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@dataclass(frozen=True)
class Figures:
    """What one run came to: seconds, bytes, and the calls that the stub counted."""

    rows: int
    wall: float
    cpu: float
    growth: int
    calls: dict[str, int]

    @property
    def per_second(self) -> float:
        """Return the rows swept per second."""
        return self.rows / self.wall

    @property
    def cpu_ms(self) -> float:
        """Return the CPU time of a row in ms."""
        return self.cpu * 1000 / self.rows


@contextmanager
def stub(rows: int) -> Iterator[str]:
    """Run the stub until the end of the block, and give its address."""
    command = [sys.executable, "-m", "bench.sweep.stub", str(rows)]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            port = (process.stdout or sys.stdin).readline().strip()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def measure(name: str, rows: int) -> Figures:
    """Run one subject on a table of its own."""
    with stub(rows) as url:
        printed = subprocess.run(
            [sys.executable, "-m", "bench.sweep.subjects", name, url],
            cwd=ROOT,
            env=ENVIRONMENT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT_S,
        ).stdout
        with urllib.request.urlopen(f"{url}/counts") as answer:  # noqa: S310 - our own stub
            calls = json.load(answer)
    figures = Figures(**json.loads(printed), calls=calls)
    show(name, figures)
    return figures


def show(name: str, figures: Figures) -> None:
    """Print what a run came to."""
    click.echo(
        f"{name:13}{figures.rows:7} rows {figures.per_second:6.0f} rows/s"
        f" {figures.cpu_ms:6.3f} ms CPU a row, memory grew by {figures.growth / 2**20:5.1f} MB"
    )
    calls = ", ".join(f"{count} {name}" for name, count in sorted(figures.calls.items()))
    click.echo(f"{'':13}{calls}")


def problems(baseline: Figures, swept: list[Figures]) -> Iterator[str]:
    """Name what is not as it should be."""
    for figures in swept:
        dead = 2 * figures.rows // CYCLE
        if (figures.calls["removed rightly"], figures.calls["removed wrongly"]) != (dead, 0):
            yield f"other rows were removed than the {dead} dead ones of {figures.rows}"
        if "probe of an old row" in figures.calls:
            yield "a row that is older than 2 hours was probed"
        if figures.calls["probe"] != figures.rows - dead // 2:
            yield "a younger row was not probed exactly once"
        if baseline.cpu_ms / figures.cpu_ms < TIMES_THE_BASELINE:
            yield f"the CPU of a row is not a {TIMES_THE_BASELINE}th of the baseline's"
    if swept[-1].growth > swept[0].growth + FLAT:
        yield "the memory grows with the rows"


@click.command()
@click.option("--check", is_flag=True, help="Fail when a figure is not as it should be.")
def main(check: bool) -> None:
    """Print rows per second, calls and memory of this project, and ratios to the baseline."""
    baseline = measure("plain_sweep", SAMPLE)
    swept = [measure("this_project", rows) for rows in SIZES]
    for figures in swept:
        click.echo(
            f"{figures.rows} rows: {baseline.cpu_ms / figures.cpu_ms:.1f} times less CPU,"
            f" {figures.per_second / baseline.per_second:.1f} times the rows per second"
            f" (the baseline would take {figures.rows / baseline.per_second:.0f} s,"
            f" extrapolated; this took {figures.wall:.0f} s)"
        )
    found = list(problems(baseline, swept))
    for problem in found:
        click.echo(f"not met: {problem}")
    if check and found:
        sys.exit(1)


if __name__ == "__main__":
    main()
