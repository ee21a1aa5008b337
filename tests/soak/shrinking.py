"""Looks for the smallest plan that still breaks the same promise, with the same seed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.soak.plan import Plan

FEWEST_CLIENTS = 10
LONGEST_S = 300.0  # a smaller plan of a long soak must not take as long


def smallest(plan: Plan, breaks: Callable[[Plan], bool], tries: int) -> Plan:
    """Return the smallest plan found that `breaks`, after at most `tries` calls of it.

    Chance of the operating system differs between two runs, so a plan that did not break may.
    """
    candidates = _smaller(plan)
    while tries > 0 and (candidate := next(candidates, None)) is not None:
        tries -= 1
        if breaks(candidate):
            plan, candidates = candidate, _smaller(candidate)
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield short plans with half of the faults, half of the clients, then without each fault."""
    if plan.seconds > LONGEST_S:
        plan = replace(plan, seconds=LONGEST_S)
        yield plan
    faults = sorted(plan.faults)
    half = len(faults) // 2
    if half > 0:
        yield replace(plan, faults=frozenset(faults[:half]))
        yield replace(plan, faults=frozenset(faults[half:]))
    if plan.clients >= 2 * FEWEST_CLIENTS:
        yield replace(plan, clients=plan.clients // 2)
    if len(faults) > 2:  # the halves of two are single faults already
        yield from (replace(plan, faults=plan.faults - {fault}) for fault in faults)
    elif len(faults) == 1:
        yield replace(plan, faults=frozenset())
