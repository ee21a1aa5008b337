"""What holds after every case, whatever was spoiled."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import RegistryError
from tests.faults.world import Invocation, World

# The line that tells how a function ended; `message` and `connections` log only what fails.
LAST_LINES = {
    "connect": ("connected", "refused", "connect failed"),
    "disconnect": ("disconnected", "already gone", "row not removed", "disconnect failed"),
    "notify": ("notified", "refused", "notify failed"),
    "unclaimed": ("looked after", "unclaimed failed"),
    "close": ("closed", "close failed"),
    "sweep": ("swept", "sweep failed", "another run is active"),
}
STATUSES = ("connect", "disconnect", "message")
MAY_RAISE = ("notify", "sweep", "unclaimed")


@dataclass(frozen=True)
class Failure:
    """An invariant that does not hold: its name, and what was found."""

    kind: str
    found: str


@dataclass(frozen=True)
class Seen:
    """What was done before the dust settled.

    `client_limit` is the number of connections that a client may have. `tracked` are the
    connections in the table right after the last spoiled call, and `living` those that lived then.
    `may_repeat` says that an end may be told twice. `may_leave_a_row` says that a handshake may
    have been refused whose clean-up failed, too: the sweep then counts the end of a connection
    that has never opened.
    """

    client_limit: int | None
    tracked: frozenset[str]
    living: frozenset[str]
    may_repeat: bool
    may_leave_a_row: bool


def of_invocation(done: Invocation) -> Iterator[Failure]:
    """Yield what does not hold of one invocation, spoiled or not."""
    if done.seconds > done.limit:
        yield Failure("overruns", f"{done.seconds:.1f} s of {done.limit:g}")
    expected = LAST_LINES.get(done.function)
    messages = [line["message"] for line in done.lines]
    if expected and not any(message.startswith(expected) for message in messages):
        yield Failure("no last line", f"logged {messages}")
    if done.error is not None:
        is_documented = isinstance(done.error, RegistryError) and done.function in MAY_RAISE
        if not is_documented:
            yield Failure("raises", f"{done.function}: {done.error!r}"[:200])
    if any(token in done.output for token in _tokens(done.event)):
        yield Failure("logs a token", "")
    if done.function == "connect":
        counts = Counter({name: _sum([done], name) for name in ("Opened", "Refused")})
        if +counts != Counter({"Opened" if done.status == 200 else "Refused": 1}):
            yield Failure("metric lost", f"{dict(counts)} for status {done.status}")


def of_calm(done: Invocation) -> Iterator[Failure]:
    """Yield a failure if an invocation without faults does not do its work."""
    worked = done.status == 200 if done.function in STATUSES else done.result
    if not worked or "error" in done.result:
        yield Failure("does not work in calm", f"{done.result!r}"[:200])


def of_world(world: World, seen: Seen) -> Iterator[Failure]:
    """Yield what does not hold once the dust has settled."""
    yield from _rows_are_the_living(world, seen)
    yield from _ends_are_told(world, seen)
    yield from _limit_keeps_the_newest(world, seen.client_limit)
    now = world.now_ms() // 1000
    for connection_id, row in world.table.rows().items():
        if int(row.get("expiresAt", now + 1)) <= now and connection_id in world.api.inboxes:
            yield Failure("expired, and still connected", connection_id)


def of_notification(
    world: World, missed: frozenset[str], late: frozenset[str]
) -> Iterator[Failure]:
    """Yield the open connections that were `missed`, unless the log says so.

    And those that were posted to too `late`: their tokens had expired.
    """
    reported = sum(_sum(world.invocations, name) for name in ("Failed", "Skipped", "Expired"))
    if len(missed) > reported:
        yield Failure("notification lost", f"{sorted(missed)}; {reported} reported")
    if late:
        yield Failure("posted to after the token expired", f"{sorted(late)}")


def of_history(world: World, streams: Collection[str]) -> Iterator[Failure]:
    """Yield what does not hold of the history of a notification after Lambda's retries.

    `streams` are those that it belongs to. It is in each of them once, and streams are chains.
    """
    history = world.table.history()
    for stream in streams:
        entries = history.get(stream, [])
        if len(entries) != 1 and not _sum(world.invocations, "HistoryFailures"):
            yield Failure("not recorded once", f"{len(entries)} entries in {stream}")
    for stream, entries in history.items():
        prevs = ["0", *(each["seq"] for each in entries[:-1])]
        if [each["prev"] for each in entries] != prevs:
            yield Failure("broken chain", stream)
    posted = {
        (each["stream"], each["seq"])
        for inbox in world.api.inboxes.values()
        for each in map(json.loads, inbox)
        if "seq" in each
    }
    recorded = {
        ("all" if stream == "all" else "own", int(each["seq"]))
        for stream, entries in history.items()
        for each in entries
    }
    if posted - recorded:
        yield Failure("posted a number that is not recorded", f"{sorted(posted - recorded)}")


def of_answer(world: World, done: Invocation) -> Iterator[Failure]:
    """Yield what does not hold of the answer to a client's request."""
    if done.error is not None or done.result["statusCode"] != 200:
        return
    answer = json.loads(done.result["body"])
    if answer["type"] == "recovered":
        if len(answer["notifications"]) != 3 or answer["more"]:
            yield Failure("not all recovered", f"{answer}"[:200])
        yield from _of_claims(world, answer)
    elif answer["type"] == "pong":
        if "heads" in answer and set(answer["heads"]) != {"all", "own"}:
            yield Failure("heads missing", f"{answer}")
        is_receipt = "received" in done.event["body"]
        if is_receipt and list(world.table.claims().values()) != [True]:
            yield Failure("told that it is received, and it is not", f"{world.table.claims()}")
    elif answer["type"] in ("authenticated", "goodbye"):
        yield from _of_token(world, answer)
    elif answer.get("code") not in ("try_again", "no_keys"):
        yield Failure("told something else than to try again", f"{answer}"[:200])


def _of_claims(world: World, answer: dict[str, Any]) -> Iterator[Failure]:
    """Yield the client's own notifications that were handed out and not claimed."""
    own = {each["seq"] for each in answer["notifications"] if each["stream"] == "own"}
    claimed = {seq for _, seq in world.table.claims()}
    if os.environ.get("UNCLAIMED_QUEUE") and own - claimed:
        yield Failure("handed out without a claim", f"{sorted(own - claimed)}")


def _of_token(world: World, answer: dict[str, Any]) -> Iterator[Failure]:
    """Yield an end that is told without a reason, or the end of a connection that was to go on."""
    expires_at = world.opened["first"].expires_at
    if answer["type"] == "goodbye":
        if answer["reason"] != "expired" or expires_at is None:
            yield Failure("told goodbye without a reason", f"{answer}")
    elif "first" not in world.api.inboxes:
        yield Failure("told to go on, and closed", f"{answer}")


def of_nobody_home(world: World, first: Invocation, *, is_calm: bool) -> Iterator[Failure]:
    """Yield the clients that got nothing and were not announced, and those announced that claimed.

    A client that got a post whose answer was lost may be announced: the safe side.
    """
    names = [detail["clientId"] for detail in world.bus.unclaimed]
    claimed = {stream.removeprefix("c#") for stream, _ in world.table.claims()}
    if told := claimed & set(names):
        yield Failure("announced although it was claimed", f"{sorted(told)}")
    if first.function == "unclaimed":
        waiting = {name for name, _, _ in json.loads(first.event["Records"][0]["body"])["clients"]}
    else:
        attributes = first.event["Records"][0]["Sns"]["MessageAttributes"]
        named = set(json.loads(attributes["clientId"]["Value"]))
        inboxes = world.api.inboxes.items()
        waiting = named - {str(world.opened[name].client) for name, inbox in inboxes if inbox}
    if lost := waiting - claimed - set(names):
        yield Failure("nobody home, and nobody told", f"{sorted(lost)}")
    if is_calm and sorted(names) != sorted(waiting - claimed):
        yield Failure("announced in vain", f"{names}")


def of_close(world: World, done: Invocation, living: frozenset[str]) -> Iterator[Failure]:
    """Yield the connections told closed that lived on, and those that open and stay open."""
    outcomes = done.result.get("connections", {}) if isinstance(done.result, dict) else {}
    for connection_id, outcome in outcomes.items():
        if outcome in ("closed", "already gone") and connection_id in living:
            yield Failure("told closed, still connected", f"{connection_id}: {outcome}")
        if outcome.startswith("not open yet") and connection_id in world.api.inboxes:
            yield Failure("kick forgotten", f"{connection_id}: {outcome}")


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
    ended = set(world.opened) - set(world.api.inboxes)
    if uncounted := ended - set(counted):
        yield Failure("end not counted", f"{sorted(uncounted)}")
    silent = ended - set(announced)
    if len(silent) > _sum(world.invocations, "AnnouncementFailures"):
        yield Failure("end not announced", f"{sorted(silent)}")
    if early := (set(counted) | set(announced)) & set(world.api.inboxes):
        yield Failure("end of a live one told", f"{sorted(early)}")
    never = (set(counted) | set(announced)) - set(world.opened) - {"malformed"}
    if never and not seen.may_leave_a_row:
        yield Failure("end of one that never opened", f"{sorted(never)}")
    if not seen.may_repeat:
        if twice := [each for each, count in counted.items() if count > 1]:
            yield Failure("end counted twice", f"{sorted(twice)}")
        if twice := [each for each, count in announced.items() if count > 1]:
            yield Failure("end announced twice", f"{sorted(twice)}")
    ids = {(detail["connectionId"], detail.get("id")) for detail in world.bus.announced}
    for connection_id, count in announced.items():
        own = {event_id for name, event_id in ids if name == connection_id}
        if count > 1 and (len(own) > 1 or None in own):
            yield Failure("repeated announcement without the same id", connection_id)


def _limit_keeps_the_newest(world: World, limit: int | None) -> Iterator[Failure]:
    staying: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for connection_id, opened in world.opened.items():
        if limit and opened.client and not (opened.has_left or opened.was_kicked):
            staying[opened.client].append((opened.at_ms, connection_id))
    for of_client in staying.values():
        newest = {connection_id for _, connection_id in sorted(of_client)[-(limit or 0) :]}
        living = {connection_id for _, connection_id in of_client} & set(world.api.inboxes)
        if newest - living:
            yield Failure("limit closed too many", f"{sorted(newest - living)}")
        if living - newest:
            yield Failure("limit not kept", f"{sorted(living - newest)}")


def _sum(invocations: list[Invocation], metric: str) -> float:
    return sum(float(line.get(metric, 0)) for each in invocations for line in each.lines)


def _subject(line: dict[str, Any]) -> str:
    return str(line.get("orphanId") or line.get("closedId") or line.get("connectionId"))


def _tokens(event: dict[str, Any]) -> list[str]:
    offered = event.get("multiValueHeaders", {}).get("Sec-WebSocket-Protocol", [])
    sent = json.loads(event.get("body", "{}")).get("token")
    return [text.rpartition(", ")[2] for text in offered] + ([sent] if sent else [])
