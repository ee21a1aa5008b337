"""What must hold, as functions of what was recorded. Times are epoch s."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.soak.journal import Journal
from tests.soak.plan import CLIENT_LIMIT, ENVIRONMENTS, GRACE_S
from tests.soak.slopes import slope_of

# A closing connection is gone for `@connections` before its socket has closed: at most 5 s.
CLOSING_S = 10.0
CLOCK_S = 1.0  # from an event to the time of its line
LIMIT_S = 12.0  # for the sweep to close what exceeds a client's limit, though some calls fail
KILLED_S = 3.0  # a gateway that is killed loses its last lines, and the handshakes under way
SETTLING_S = 5.0  # from a lost answer to what a repeat of the call finds out
REMOVALS_AT_ONCE = 8
# What a process may grow by, at least, before it counts, and the share of its level.
TOLERANCES = {"memory": (16e6, 0.1), "files": (20, 0.3), "threads": (4, 0.2)}


@dataclass(frozen=True)
class Breach:
    """A broken promise: its kind, and what was found."""

    kind: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.found}"


@dataclass(frozen=True)
class Look:
    """The rows of the table, by the time of `createdAt`, read between `start` and `end`."""

    start: float
    end: float
    rows: Mapping[str, float]


@dataclass(frozen=True)
class Delivery:
    """A notification: its first attempt, and when the one that succeeded ran."""

    id: str
    client_ids: tuple[str, ...] | None
    first: float
    start: float
    end: float
    unsent: int  # posts that the report counts as failed or skipped


@dataclass(frozen=True)
class Life:
    """One connection of a client without a library, and the notifications that it got.

    `heard` is a time until which it has surely heard everything, or 0: it sent a close frame then,
    and the answer came behind everything else.
    """

    client_id: str
    opened: float
    got: frozenset[str]
    heard: float = 0.0


@dataclass(frozen=True)
class Series:
    """Samples of one process: memory in bytes, open files, threads."""

    name: str
    times: Sequence[float]
    values: Mapping[str, Sequence[float]]


def of_rows(journal: Journal, look: Look, later: Look) -> Iterator[Breach]:
    """Yield the connections that have no row and are still open long after."""
    for name in journal.open_at(look.start - CLOCK_S, later.end):
        if name not in look.rows and name not in later.rows:
            yield Breach("live connection without a row", name)


def of_sweep(journal: Journal, started: float, look: Look) -> Iterator[Breach]:
    """Yield the rows that a complete pass should have removed, which began at `started`.

    `look` was taken after it. Rows whose removal has failed since are left to the next pass.
    """
    for name, created in look.rows.items():
        socket = journal.sockets.get(name)
        ended = created if socket is None else socket.closed
        is_due = created < started - GRACE_S - CLOCK_S
        if not is_due or ended is None or ended > started - CLOCK_S:
            continue
        if journal.failed.get(name, 0.0) < started:
            yield Breach("row left by the sweep", f"{name}, {started - ended:.0f} s after its end")


def of_limit(journal: Journal, started: float, look: Look) -> Iterator[Breach]:
    """Yield the clients with too many connections that were open before `started`, and still are.

    Complete passes have begun since `started`, `LIMIT_S` before `look`.
    """
    held: defaultdict[str, list[str]] = defaultdict(list)
    for name in journal.open_at(started - GRACE_S, look.end):
        if client := journal.clients.get(name):
            held[client].append(name)
    for client, names in held.items():
        if client != "unknown" and len(names) > CLIENT_LIMIT:
            yield Breach("limit not kept", f"{client}: {sorted(names)}")


def of_ends(
    journal: Journal,
    gone: Mapping[str, tuple[float, float]],
    faulty: Sequence[tuple[float, float]],
) -> Iterator[Breach]:
    """Yield the ends that were not told once.

    `gone` are the times between which a row disappeared, `faulty` those between which DynamoDB's
    answers may have been lost or late: then an end may be told twice, and at any time by a guess.
    A process that is ended between the removal of a row and the report leaves an end untold, as
    many as it removes at once. A removal whose answer is lost together with the read that would
    settle it leaves one untold, too, and the log says that the row was not removed.
    """
    excused = 0
    for name, socket in journal.sockets.items():
        told = journal.ends.get(name) or journal.guesses.get(name, [])
        if socket.closed is None and told:
            yield Breach("end of a live connection told", name)
        if socket.closed is not None and not told:
            start, end = gone.get(name, (socket.opened, socket.closed + CLOSING_S))
            if _interrupted(journal, start - CLOCK_S, end + CLOCK_S):
                excused += 1
            elif journal.failed.get(name, 0.0) < start - CLOCK_S:
                yield Breach("end not told", f"{name}, gone between {start:.1f} and {end:.1f}")
        if len(told) > 1 and not _overlaps(faulty, min(told) - SETTLING_S, max(told)):
            yield Breach("end told twice", f"{name} at {told}")
    if excused > (allowed := REMOVALS_AT_ONCE * len(journal.interruptions)):
        yield Breach("end not told", f"{excused} near interruptions, which explain {allowed}")
    never = (set(journal.ends) | set(journal.guesses)) - set(journal.sockets) - journal.refused
    kills = [each.at for each in journal.interruptions if each.what == "gateway"]
    unlogged = never - journal.connected.keys()
    found = {
        name
        for name in never - unlogged
        if not any(0 <= at - journal.connected[name] < KILLED_S for at in kills)
    }
    if len(unlogged) > len(kills) * ENVIRONMENTS:
        found |= unlogged
    if found:
        yield Breach("end of a connection that never opened", f"{sorted(found)}")


def of_plain(
    deliveries: Sequence[Delivery],
    lives: Sequence[Life],
    lossy: Sequence[tuple[float, float]],
) -> Iterator[Breach]:
    """Yield the notifications that clients without a library lost although nothing says so.

    A client has to have a notification if its connection was open before, and got another that
    was first posted afterwards, or the answer to a close frame that it sent afterwards. `lossy`
    are the times in which the gateway lost posts unseen.
    """
    by_id = {each.id: each for each in deliveries}
    heard = [
        (life, max([life.heard, *(by_id[each].first for each in life.got if each in by_id)]))
        for life in lives
    ]
    for delivery in deliveries:
        if _overlaps(lossy, delivery.start, delivery.end):
            continue
        missed = [
            life.client_id
            for life, until in heard
            if life.opened < delivery.start
            and delivery.end < until
            and (delivery.client_ids is None or life.client_id in delivery.client_ids)
            and delivery.id not in life.got
        ]
        if len(missed) > delivery.unsent:
            yield Breach(
                "notification lost", f"{delivery.id}: {missed}; {delivery.unsent} reported"
            )


def of_addressees(deliveries: Sequence[Delivery], lives: Sequence[Life]) -> Iterator[Breach]:
    """Yield the notifications that reached a client for which they were not."""
    by_id = {each.id: each for each in deliveries}
    for life in lives:
        for each in life.got & by_id.keys():
            names = by_id[each].client_ids
            if names is not None and life.client_id not in names:
                yield Breach("notification of another client", f"{each} at {life.client_id}")


def of_processes(series: Sequence[Series]) -> Iterator[Breach]:
    """Yield what grows: even the lower bound of the rise is more than a process may grow."""
    for each in series:
        for name, (least, share) in TOLERANCES.items():
            slope = slope_of(each.times, each.values[name])
            if slope and slope.low > max(least, share * slope.mean):
                yield Breach(
                    f"{name} grows",
                    f"{each.name}: {slope.rise:.3g} ({slope.low:.3g} to {slope.high:.3g}) "
                    f"in {each.times[-1] - each.times[0]:.0f} s",
                )


def summary(breaches: Sequence[Breach]) -> Counter[str]:
    """Count breaches by kind."""
    return Counter(each.kind for each in breaches)


def _interrupted(journal: Journal, start: float, end: float) -> bool:
    return any(start <= each.at <= end for each in journal.interruptions)


def _overlaps(spans: Sequence[tuple[float, float]], start: float, end: float) -> bool:
    return any(first <= end and start <= last for first, last in spans)
