"""Runs one state machine for some time: `python -m tests.fuzz.machines NAME --minutes 10`.

The machine of the table runs against the engine in the variable `ENGINE`, by default moto.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import click
from hypothesis.stateful import RuleBasedStateMachine
from moto import mock_aws

from chalicelib.store import ConnectionStore
from tests.conftest import CREATIONS, TABLE
from tests.faults.machine import Lives
from tests.faults.world import world
from tests.fuzz.delivery_machine import Deliveries
from tests.fuzz.sweep_machine import Sweeps
from tests.fuzz.table_machine import Rows
from tests.support import engines
from tests.support.connections import NO_DEADLINE
from tests.support.machines import try_machine

Machine = type[RuleBasedStateMachine]
IN_A_WORLD = {"lives": Lives, "sweep": Sweeps, "delivery": Deliveries}
NAMES = ("table", *IN_A_WORLD)
EXAMPLES = 20

_perf_counter = time.perf_counter  # the machines' worlds skip time


@contextlib.contextmanager
def ready(name: str) -> Iterator[Machine]:
    """Yield a machine with what it works on."""
    if name == "table":
        with _table() as machine:
            yield machine
        return
    with world() as this:
        yield type(name, (IN_A_WORLD[name],), {"world": this})


@contextlib.contextmanager
def _table() -> Iterator[Machine]:
    dummy = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    os.environ.update(dummy, AWS_DEFAULT_REGION="eu-west-1")
    with (
        tempfile.TemporaryDirectory() as folder,
        engines.running(Path(folder)) as address,
        mock_aws(),
    ):
        client = boto3.client("dynamodb", endpoint_url=address)
        for creation in CREATIONS:
            client.create_table(**creation)

        class Stored(Rows):
            store = ConnectionStore(client, TABLE, NO_DEADLINE)

        yield Stored


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--minutes", type=float, default=10.0, help="How long to try.")
@click.option("--seed", type=int, default=0, help="Where to begin.")
@click.option("--steps", type=int, default=30, help="Steps of each sequence.")
def main(name: str, minutes: float, seed: int, steps: int) -> None:
    """Try one sequence of steps after another, and stop at the first that fails."""
    first = seed
    with ready(name) as machine:
        end = _perf_counter() + minutes * 60
        while _perf_counter() < end:
            click.echo(f"seed {seed}")
            try_machine(machine, examples=EXAMPLES, steps=steps, first=seed)
            seed += 1
    click.echo(f"{name}: {EXAMPLES * (seed - first)} sequences of {steps} steps")


if __name__ == "__main__":
    main()
