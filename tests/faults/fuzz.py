"""Tries random sequences of calls and faults: `python -m tests.faults.fuzz --minutes 10`."""

import time

import click
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.machine import Lives
from tests.faults.world import World, world

_perf_counter = time.perf_counter


def try_lives(this: World, *, examples: int, steps: int, seed: int, shrink: bool = True) -> None:
    """Run so many sequences of so many steps, always the same ones with the same seed."""

    class Seeded(Lives):
        world = this

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    seeded(seed)(Seeded)
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


seeded = seed


@click.command()
@click.option("--minutes", type=float, default=10.0, help="How long to try.")
@click.option("--seed", type=int, default=0, help="Where to begin.")
@click.option("--steps", type=int, default=30, help="Steps of each sequence.")
def main(minutes: float, seed: int, steps: int) -> None:
    """Try one sequence after another and stop at the first that breaks an invariant."""
    end = _perf_counter() + minutes * 60
    with world() as this:
        while _perf_counter() < end:
            click.echo(f"seed {seed}")
            try_lives(this, examples=50, steps=steps, seed=seed)
            seed += 1


if __name__ == "__main__":
    main()
