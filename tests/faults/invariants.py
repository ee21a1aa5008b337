"""What holds after every case, whatever was spoiled."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import RegistryError
from tests.faults.proxy import LOST, Fault, Spoiled
from tests.faults.scenarios import Scenario
from tests.faults.world import Invocation, World

# The last log line of each function; `message` and `connections` log only what fails.
LAST_LINES = {
    "connect": ("connected", "refused", "connect failed", "limit", "replaced"),
    "disconnect": ("disconnected", "already gone", "row not removed", "disconnect failed", "event"),
    "notify": ("notified", "refused", "notify failed"),
    "close": ("closed", "close failed"),
    "sweep": ("swept", "sweep failed"),
}
MAY_RAISE = ("notify", "sweep")


@dataclass(frozen=True)
class Failure:
    """An invariant that does not hold: its name, and what was found."""

    kind: str
    found: str


@dataclass(frozen=True)
class Seen:
    """One case after its dust has settled.

    `first` is the spoiled invocation, `tracked` are the connections in the table right after it,
    `living` those that lived then, and `missed` those that a notification has not reached.
    """

    scenario: Scenario
    spoiled: tuple[Spoiled, ...]
    first: Invocation
    tracked: frozenset[str]
    living: frozenset[str]
    missed: frozenset[str]

    @property
    def may_repeat(self) -> bool:
        """Return whether an answer may have been lost."""
        return any(spoiled.fault in LOST for spoiled in self.spoiled)

    @property
    def is_down(self) -> bool:
        """Return whether a service is down for ever, so that a clean-up cannot succeed either."""
        return any(each.for_ever and each.fault is Fault.REFUSE for each in self.spoiled)


def failures(world: World, seen: Seen) -> Iterator[Failure]:
    """Yield every invariant that does not hold."""
    yield from _ends_in_time(seen)
    yield from _raises_and_logs(world, seen)
    yield from _rows_are_the_living(world, seen)
    yield from _ends_are_told(world, seen)
    yield from _answer_is_true(world, seen)
    yield from _limit_keeps_the_newest(world, seen)
    yield from _notification_arrives(world, seen)


def _ends_in_time(seen: Seen) -> Iterator[Failure]:
    first = seen.first
    if first.seconds > first.limit:
        yield Failure("overruns", f"{first.seconds:.1f} s of {first.limit:g}")
    expected = LAST_LINES.get(first.function)
    messages = [line["message"] for line in first.lines]
    if expected and not (messages and messages[-1].startswith(expected)):
        yield Failure("no last line", f"logged {messages}")


def _raises_and_logs(world: World, seen: Seen) -> Iterator[Failure]:
    error = seen.first.error
    if error is not None:
        is_documented = isinstance(error, RegistryError) and seen.first.function in MAY_RAISE
        if not is_documented:
            yield Failure("raises", repr(error)[:200])
    for invocation in world.invocations[1:]:
        if invocation.error is not None:
            yield Failure("raises in calm", f"{invocation.function}: {invocation.error!r}"[:200])
    output = "".join(invocation.output for invocation in world.invocations)
    if seen.scenario.settings.get("AUTH_ISSUER") and _token(seen.first) in output:
        yield Failure("logs a token", "")
    if seen.first.function == "connect":
        counts = Counter({name: _sum([seen.first], name) for name in ("Opened", "Refused")})
        wanted = "Opened" if seen.first.status == 200 else "Refused"
        if +counts != Counter({wanted: 1}):
            yield Failure("metric lost", f"{dict(counts)} for status {seen.first.status}")


def _rows_are_the_living(world: World, seen: Seen) -> Iterator[Failure]:
    if untracked := seen.living - seen.tracked:
        yield Failure("live connection untracked", f"{sorted(untracked)}")
    rows, living = set(world.table.rows()) - {"malformed"}, set(world.api.inboxes)
    if rows - living:
        yield Failure("row left", f"{sorted(rows - living)}")
    if living - rows - untracked:
        yield Failure("live connection lost its row", f"{sorted(living - rows)}")


def _ends_are_told(world: World, seen: Seen) -> Iterator[Failure]:
    counted = Counter(
        _subject(line)
        for invocation in world.invocations
        for line in invocation.lines
        if "Closed" in line
    )
    announced = Counter(detail["connectionId"] for detail in world.bus.announced)
    unannounced = _sum(world.invocations, "AnnouncementFailures")
    for connection_id in sorted({*counted, *announced, *world.opened}):
        ended = connection_id in world.opened and connection_id not in world.api.inboxes
        if ended and not counted[connection_id]:
            yield Failure("end not counted", connection_id)
        if ended and not announced[connection_id] and not unannounced:
            yield Failure("end not announced", connection_id)
        if not ended and (counted[connection_id] or announced[connection_id]):
            is_orphan = connection_id not in world.opened and seen.is_down
            if not is_orphan:
                never = connection_id not in world.opened
                yield Failure(
                    "end of one that never opened" if never else "end of a live one told",
                    connection_id,
                )
        if counted[connection_id] > 1 and not seen.may_repeat:
            yield Failure("end counted twice", connection_id)
        if announced[connection_id] > 1:
            yield from _announced_twice(world, seen, connection_id)


def _announced_twice(world: World, seen: Seen, connection_id: str) -> Iterator[Failure]:
    if not seen.may_repeat:
        yield Failure("end announced twice", connection_id)
    told = [detail for detail in world.bus.announced if detail["connectionId"] == connection_id]
    ids = {detail.get("id") for detail in told}
    if len(ids) != 1 or None in ids:
        yield Failure("repeated announcement without the same id", connection_id)


def _answer_is_true(world: World, seen: Seen) -> Iterator[Failure]:
    """Check that a connection told closed has ended, and one told to open later by the sweep."""
    if seen.first.function != "close" or not isinstance(seen.first.result, dict):
        return
    for connection_id, outcome in seen.first.result.get("connections", {}).items():
        if outcome in ("closed", "already gone") and connection_id in seen.living:
            yield Failure("told closed, still connected", f"{connection_id}: {outcome}")
        if outcome.startswith("not open yet") and connection_id in world.api.inboxes:
            yield Failure("kick forgotten", f"{connection_id}: {outcome}")


def _limit_keeps_the_newest(world: World, seen: Seen) -> Iterator[Failure]:
    limit = seen.scenario.client_limit
    staying: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for connection_id, opened in world.opened.items():
        if limit and opened.client and not opened.has_left:
            staying[opened.client].append((opened.at_ms, connection_id))
    for of_client in staying.values():
        newest = {connection_id for _, connection_id in sorted(of_client)[-(limit or 0) :]}
        living = {connection_id for _, connection_id in of_client} & set(world.api.inboxes)
        if newest - living:
            yield Failure("limit closed too many", f"{sorted(newest - living)}")
        if living - newest:
            yield Failure("limit not kept", f"{sorted(living - newest)}")


def _notification_arrives(world: World, seen: Seen) -> Iterator[Failure]:
    if seen.first.function != "notify":
        return
    reported = _sum(world.invocations, "Failed") + _sum(world.invocations, "Skipped")
    if len(seen.missed) > reported:
        yield Failure("notification lost", f"{sorted(seen.missed)}; {reported} reported")


def _sum(invocations: list[Invocation], metric: str) -> float:
    return sum(float(line.get(metric, 0)) for each in invocations for line in each.lines)


def _subject(line: dict[str, Any]) -> str:
    return str(line.get("orphanId") or line.get("closedId") or line.get("connectionId"))


def _token(invocation: Invocation) -> str:
    [protocols] = invocation.event["multiValueHeaders"]["Sec-WebSocket-Protocol"]
    return str(protocols.rpartition(", ")[2])
