"""Time posting one notification to many connections: `python -m bench.fanout`.

Every subject runs in a process of its own against a stub `@connections` endpoint in another, by
turns, and is counted in CPU time, that of all its threads. The stub answers at once and only
writes down what it receives; all of it is read when the subject has ended, and every signature
checked with botocore's signer in Python. `bare_sockets` shows what the stub itself can answer.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from bench.fanout import signatures
from bench.fanout.subjects import CREDENTIALS
from bench.gateway.processes import free_port, running
from chalicelib.services.delivery import CONCURRENCY

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (2_000, 10_000)
THREADS = (8, 16, 32)
AT_ONCE = CONCURRENCY
TIMES_THE_THREADS = 10
# the Lambda runtime brings no awscrt, without which botocore signs in Python
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "BOTO_DISABLE_CRT": "true"}
UNSIGNED = ("unsigned_urllib3", "bare_sockets")
RUNS = (
    ("boto3_loop", 1),
    *(("boto3_threads", threads) for threads in THREADS),
    ("this_project", AT_ONCE),
    ("unsigned_urllib3", 1),
    ("bare_sockets", AT_ONCE),
)


class BenchError(Exception):
    """What a subject did is not what the bench compares."""


@dataclass(frozen=True)
class Figures:
    """What one run of a subject came to; times are in s, memory in bytes."""

    posts: int
    cpu: float
    wall: float
    memory: int

    @property
    def per_cpu_second(self) -> float:
        """Return the posts per CPU second."""
        return self.posts / self.cpu

    @property
    def per_second(self) -> float:
        """Return the posts per wall second."""
        return self.posts / self.wall


def run(name: str, at_once: int, count: int, seconds: float) -> Figures:
    """Run one subject against a stub of its own and check what the stub received."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        received, log = Path(folder) / "received", Path(folder) / "log"
        stub = [sys.executable, "-m", "bench.fanout.stub", str(port), str(received)]
        with running("the stub", stub, port, log, ROOT, ENVIRONMENT):
            url = f"http://127.0.0.1:{port}/dev"
            subject = [sys.executable, "-m", "bench.fanout.subjects", name, url]
            printed = subprocess.run(
                [*subject, str(at_once), str(count), str(seconds)],
                env=ENVIRONMENT,
                check=True,
                stdout=subprocess.PIPE,
                timeout=seconds + 60,
            ).stdout
        figures = Figures(**json.loads(printed))
        check(name, figures, received.read_bytes())
    return figures


def check(name: str, figures: Figures, received: bytes) -> None:
    """Raise `BenchError` unless each post, and the first, came once and was signed rightly."""
    requests = list(signatures.parse(received))
    if len({request.target for request in requests}) != len(requests):
        raise BenchError(f"{name} posted to one connection twice")
    if len(requests) != figures.posts + 1:
        raise BenchError(f"{name} counted {figures.posts} posts, the stub {len(requests) - 1}")
    if name not in UNSIGNED:
        valid = sum(signatures.is_valid(request, CREDENTIALS) for request in requests)
        if valid != len(requests):
            raise BenchError(f"{name}: {len(requests) - valid} of {len(requests)} are not valid")


def median(figures: list[Figures]) -> Figures:
    """Return the run with the median CPU time of a post."""
    cpu = statistics.median_low(one.cpu / one.posts for one in figures)
    return next(one for one in figures if one.cpu / one.posts == cpu)


def measure(count: int, rounds: int, seconds: float) -> dict[tuple[str, int], Figures]:
    """Run every subject by turns and print the median of each."""
    runs: dict[tuple[str, int], list[Figures]] = {subject: [] for subject in RUNS}
    for _ in range(rounds):
        for name, at_once in RUNS:
            runs[name, at_once].append(run(name, at_once, count, seconds))
    medians = {subject: median(figures) for subject, figures in runs.items()}
    click.echo(f"{count} connections, the median of {rounds} rounds")
    for (name, at_once), one in medians.items():
        click.echo(
            f"  {name:16} {at_once:2} at once {one.per_cpu_second:7.0f} posts/CPU s"
            f" {one.per_second:7.0f} posts/s {one.memory / 2**20:4.0f} MB"
        )
    return medians


def meets_the_targets(medians: dict[tuple[str, int], Figures]) -> bool:
    """Compare this project with the best thread pool, the floor and the stub's ceiling."""
    ours = medians["this_project", AT_ONCE]
    pool = max(medians["boto3_threads", threads].per_cpu_second for threads in THREADS)
    floor = medians["unsigned_urllib3", 1].per_cpu_second
    ceiling = medians["bare_sockets", AT_ONCE].per_second
    click.echo(
        f"  this project: {ours.per_cpu_second / pool:.1f} times the best thread pool per CPU"
        f" second (at least {TIMES_THE_THREADS}), {ours.per_cpu_second / floor:.1f} times the"
        f" unsigned floor (at least 1); the stub answers {ceiling / ours.per_second:.1f} times as"
        " fast (at least 1); every signature is valid"
    )
    return (
        ours.per_cpu_second >= max(TIMES_THE_THREADS * pool, floor) and ours.per_second <= ceiling
    )


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 50))
@click.option("--seconds", default=60.0, show_default=True, help="The longest run of a subject.")
@click.option("--check", "checking", is_flag=True, help="Fail when a target is missed.")
def main(rounds: int, seconds: float, checking: bool) -> None:
    """Print posts per CPU second and per second of boto3, this project and the floor."""
    met = [meets_the_targets(measure(count, rounds, seconds)) for count in COUNTS]
    if checking and not all(met):
        sys.exit(1)


if __name__ == "__main__":
    main()
