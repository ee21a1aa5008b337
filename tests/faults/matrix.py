"""The matrix: each call that a function makes in calm, times each fault, once and for ever."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults import invariants
from tests.faults.invariants import Failure, Seen
from tests.faults.scenarios import Scenario
from tests.faults.spoiling import LOST, UNCERTAIN, Fault, Spoiled
from tests.faults.world import Invocation, World
from tests.support.sqs import sqs_event

# Retries of Lambda and continuations after an invocation, at most.
_MOST_FOLLOWING = 10
# With many connections, faults are tried whose cost adds up.
SLOW = (Fault.HANG, Fault.LATE, Fault.THROTTLE, Fault.ERROR, Fault.LOSE, Fault.DELAY)

# The faults of which two are tried together: each stays for ever.
FIRST = (Fault.HANG, Fault.LATE, Fault.DENY, Fault.GARBAGE)
SECOND = (Fault.HANG, Fault.LOSE, Fault.DENY)


@dataclass(frozen=True)
class Case:
    """A scenario in which calls are spoiled, or in calm if there are none."""

    scenario: Scenario
    spoiled: tuple[Spoiled, ...] = ()

    def __str__(self) -> str:
        return " | ".join([self.scenario.name, *map(str, self.spoiled)])


def cases(world: World, scenario: Scenario) -> Iterator[Case]:
    """Yield the case in calm, then one for each call that is really made then, and each fault."""
    calm = Case(scenario)
    yield calm
    for service, operation, number in calls(world, calm):
        for fault in SLOW if scenario.is_crowd else Fault:
            for for_ever in (True,) if scenario.is_crowd else (False, True):
                yield Case(scenario, (Spoiled(service, operation, number, fault, for_ever),))


def second_cases(world: World, scenario: Scenario) -> Iterator[Case]:
    """Yield cases with two faults: of calls that only the first fault makes the function do."""
    calm = Case(scenario)
    in_calm = calls(world, calm)
    for service, operation, number in in_calm:
        for fault in FIRST:
            first = Spoiled(service, operation, number, fault, for_ever=True)
            for again in calls(world, Case(scenario, (first,))):
                if again not in in_calm and again[:2] != (service, operation):
                    for second in SECOND:
                        yield Case(scenario, (first, Spoiled(*again, second, for_ever=True)))


def calls(world: World, case: Case) -> list[tuple[str, str, int]]:
    """Return the calls of a case's invocation: service, operation and its number, from 1."""
    _first(world, case)
    made = [
        (service, operation, proxy.calls[: index + 1].count(operation))
        for service, proxy in world.proxies.items()
        for index, operation in enumerate(proxy.calls)
    ]
    if not case.scenario.is_crowd:
        return made
    return list(dict.fromkeys((service, _of_anybody(call), 1) for service, call, _ in made))


def _of_anybody(operation: str) -> str:
    method, space, _ = operation.partition(" ")
    return f"{method} *" if space else method


def run(world: World, case: Case) -> list[Failure]:
    """Run a case, let its dust settle and return the invariants that do not hold."""
    first = _first(world, case)
    world.spoil()
    case.scenario.settle(world, first)
    tracked, living = frozenset(world.table.rows()), frozenset(world.api.inboxes)
    _follow(world, first)
    missed = _missed(world, first) if first.function == "notify" else frozenset[str]()
    late = _posted_late(world)
    world.settle()
    uncertain = UNCERTAIN if case.scenario.is_told_already else LOST
    seen = Seen(
        case.scenario.client_limit,
        tracked,
        living,
        may_repeat=any(each.fault in uncertain for each in case.spoiled),
        may_leave_a_row=len(case.spoiled) > 1 or any(each.takes_down for each in case.spoiled),
    )
    found = [failure for each in world.invocations for failure in invariants.of_invocation(each)]
    found += invariants.of_world(world, seen)
    if not case.spoiled:
        found += invariants.of_calm(first)
    if first.function == "notify":
        found += invariants.of_notification(world, missed, late)
    if first.function == "message":
        found += invariants.of_answer(world, first)
    if first.function == "notify" and "HISTORY_TABLE" in case.scenario.settings:
        found += invariants.of_history(world, _streams(first))
    if first.function in ("notify", "unclaimed") and "UNCLAIMED_QUEUE" in case.scenario.settings:
        found += invariants.of_nobody_home(world, first, is_calm=not case.spoiled)
    if first.function == "close":
        found += invariants.of_close(world, first, living)
    return found


def _first(world: World, case: Case) -> Invocation:
    settings = {
        name: value.format(issuer=world.issuer.url)
        for name, value in case.scenario.settings.items()
    }
    world.reset(settings)
    limit = case.scenario.limit or _limit_that_hands_on(world, case.scenario)
    world.reset(settings)
    event = case.scenario.prepare(world)
    world.spoil(*case.spoiled)
    return world.invoke(case.scenario.function, event, limit)


@functools.lru_cache
def _limit_that_hands_on(world: World, scenario: Scenario) -> float:
    """Return nearly the most seconds with which the function does not finish, and hands on."""
    too_little, enough = 0.0, 40.0
    while enough - too_little > 0.5:
        middle = (too_little + enough) / 2
        world.reset({})
        invocation = world.invoke(scenario.function, scenario.prepare(world), middle)
        if invocation.error or world.functions.queued:
            too_little = middle
        else:
            enough = middle
    return too_little


def _follow(world: World, first: Invocation) -> None:
    """Do what Lambda does next: retry what was raised, and carry out what was queued."""
    if first.function == "unclaimed" and first.error:
        world.invoke("unclaimed", first.event)  # SQS shows the message again
    retried = [first.event] if first.function == "notify" and first.error else []
    for _ in range(_MOST_FOLLOWING):
        events = retried + world.functions.queued
        if not events:
            break
        retried = []
        world.functions.queued.clear()
        for event in events:
            world.invoke("notify", event)
    for body in list(world.queue.messages):
        world.invoke("unclaimed", sqs_event(body))


def _streams(first: Invocation) -> list[str]:
    """Return the streams to which a notification belongs."""
    attributes = first.event["Records"][0]["Sns"]["MessageAttributes"]
    if not attributes:
        return ["all"]
    return [f"c#{name}" for name in json.loads(attributes["clientId"]["Value"])]


def _posted_late(world: World) -> frozenset[str]:
    """Return the connections that have received a notification although they had expired."""
    return frozenset(
        connection_id
        for connection_id, opened in world.opened.items()
        if opened.expires_at is not None
        and opened.expires_at <= world.now_ms() // 1000
        and any(b'"notification"' in each for each in world.api.inboxes.get(connection_id, ()))
    )


def _missed(world: World, first: Invocation) -> frozenset[str]:
    """Return the open connections that a notification meant for them has not reached."""
    attributes = first.event["Records"][0]["Sns"]["MessageAttributes"]
    named = json.loads(attributes["clientId"]["Value"]) if attributes else None
    return frozenset(
        connection_id
        for connection_id, inbox in world.api.inboxes.items()
        if not inbox and (named is None or world.opened[connection_id].client in named)
    )
