"""Runs state machines of hypothesis by a seed: the same one tries the same sequences of steps."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def try_machine(
    machine: type[RuleBasedStateMachine],
    *,
    examples: int,
    steps: int,
    first: int,
    shrink: bool = True,
) -> None:
    """Run so many sequences of so many steps; `first` is the seed."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    seed(first)(machine)
    run_state_machine_as_test(
        machine,
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
