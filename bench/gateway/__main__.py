"""Measure connect + disconnect cycles and memory of this gateway and of serverless-offline."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import click

from bench.gateway import load, report, subjects, table
from bench.gateway.processes import Server, ServerError, free_port
from bench.gateway.report import MEGABYTE, Measured
from bench.gateway.subjects import Subject


@dataclass(frozen=True)
class Plan:
    """The amount of measuring."""

    cycles: int  # in a batch
    rounds: int  # warm batches of each subject
    levels: tuple[int, ...]  # clients at once
    batch_seconds: float  # no cycle of a batch starts after this time
    idle: int  # connections held


def measure(engine: Server, endpoint: str, at_once: int, plan: Plan) -> tuple[Measured, Measured]:
    """Start the baseline and the gateway on one engine and measure them in turn."""
    with (
        subjects.gateway("--dynamodb-endpoint", endpoint) as gateway,
        subjects.baseline(endpoint) as baseline,
    ):
        rows = table.connect(endpoint)
        for subject in (baseline, gateway):
            asyncio.run(load.witness(subject.url, rows))
            say(f"{subject.server.name}: rows come with $connect and go with $disconnect")
        theirs, ours = alternate((baseline, gateway), engine, rows, at_once, plan)
    return theirs, ours


def alternate(
    pair: tuple[Subject, ...], engine: Server, rows: table.Table, at_once: int, plan: Plan
) -> Iterator[Measured]:
    """Run a first batch of each subject, then rounds of both, and return their figures."""
    batches: dict[str, list[load.Batch]] = {subject.server.name: [] for subject in pair}
    memory = dict.fromkeys(batches, 0)
    used: dict[str, Counter[str]] = {name: Counter() for name in batches}
    for number in range(plan.rounds + 1):
        for subject in pair:
            name = subject.server.name
            before = subject.server.cpu() | engine.cpu()
            batch = asyncio.run(
                load.cycle_batch(subject.url, rows, plan.cycles, at_once, plan.batch_seconds)
            )
            after = subject.server.cpu() | engine.cpu()
            if number:
                used[name].update({each: after[each] - before.get(each, 0.0) for each in after})
            rows.clear()
            batches[name].append(batch)
            memory[name] = max(memory[name], subject.server.memory())
            load_average = os.getloadavg()[0]
            say(
                f"{name}, {at_once} at once, round {number}: {batch.rate:.1f} cycles/s "
                f"(load {load_average:.1f})"
            )
    for name, (first, *warm) in batches.items():
        cycles = sum(len(batch.handshakes) for batch in warm)
        cpu = {role: 1000 * seconds / cycles for role, seconds in used[name].items()}
        yield Measured(name, at_once, first, tuple(warm), memory[name] / MEGABYTE, cpu)


def idle_memory(connections: int) -> float:
    """Return the MB of the gateway's tree, engine included, while that many connections idle."""
    port = free_port()
    limit = str(2 * connections)
    with subjects.gateway("--dynamodb-port", str(port), "--max-connections", limit) as gateway:
        own = subjects.credentials(gateway.port)
        rows = table.connect(f"http://127.0.0.1:{port}", own)
        weigh = gateway.server.memory
        return asyncio.run(load.hold(gateway.url, rows, connections, weigh)) / MEGABYTE


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


@click.command()
@click.option("--cycles", default=300, show_default=True, help="Cycles in a batch.",
              type=click.IntRange(10, 10_000))  # fmt: skip
@click.option("--rounds", default=5, show_default=True, help="Warm batches of each subject.",
              type=click.IntRange(1, 20))  # fmt: skip
@click.option("--concurrency", "levels", default=(1, 16), show_default=True, multiple=True,
              help="Clients at once; may be given several times.",
              type=click.IntRange(1, 500))  # fmt: skip
@click.option("--batch-seconds", default=60.0, show_default=True, type=click.FloatRange(1, 600),
              help="No cycle of a batch starts after this time.")  # fmt: skip
@click.option("--idle", default=2000, show_default=True, help="Idle connections to hold.",
              type=click.IntRange(1, 10_000))  # fmt: skip
@click.option("--check", is_flag=True, help="Exit with 1 when a target is missed.")
def main(
    cycles: int, rounds: int, levels: tuple[int, ...], batch_seconds: float, idle: int, check: bool
) -> None:
    """Compare speed and memory of this gateway and of serverless-offline, in one run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped, too
    subjects.install_baseline()
    try:
        missed = run(Plan(cycles, rounds, levels, batch_seconds, idle))
    except (ServerError, load.RowsError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(1 if check and missed else 0)


def run(plan: Plan) -> bool:
    """Measure and print everything; return whether a target is missed."""
    with subjects.engine() as (engine, endpoint):
        measured = [measure(engine, endpoint, at_once, plan) for at_once in plan.levels]
    say(f"gateway with its embedded engine: opening {plan.idle} idle connections")
    idle = idle_memory(plan.idle)
    baseline, gateway = map(list, zip(*measured, strict=True))
    say(f"\n{report.table([*baseline, *gateway])}\n")
    say(f"{report.processors([*baseline, *gateway])}\n")
    targets = report.targets(baseline, gateway, idle)
    say("\n".join(map(str, targets)))
    return not all(target.met for target in targets)


if __name__ == "__main__":
    main()
