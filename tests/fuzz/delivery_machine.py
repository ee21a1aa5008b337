"""Notifications that are recorded, posted, handed on, recovered, claimed and announced."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.conftest import HISTORY
from tests.faults import invariants
from tests.faults.spoiling import Fault, Spoiled
from tests.faults.world import Invocation, World
from tests.support.events import connect_event
from tests.support.notifications import sns_event
from tests.support.sqs import sqs_event

SETTINGS = {"HISTORY_TABLE": HISTORY, "RECOVER_OWN": "always", "UNCLAIMED_QUEUE": "Q"}
CLIENTS = ("alice", "bob")
# The calls that each function may make, by service.
CALLS = {
    "notify": {
        "dynamodb": "Scan Query GetItem TransactWriteItems",
        "connections": "POST*",
        "lambda": "Invoke",
        "sqs": "GetQueueUrl SendMessage",
    },
    "message": {"dynamodb": "GetItem Query PutItem"},
    "unclaimed": {"dynamodb": "BatchGetItem", "eventbridge": "PutEvents"},
}
# A limit in seconds with which `notify` posts for one or two seconds only.
SHORT_S, LONG_S = 13.5, 30.0
MOST_ROUNDS = 60


@st.composite
def troubles(draw: Callable[[Any], Any], function: str) -> Spoiled | None:
    """Draw the fault of one invocation, or None for calm."""
    if draw(st.booleans()):
        return None
    service = draw(st.sampled_from(sorted(CALLS[function])))
    operation = draw(st.sampled_from(CALLS[function][service].split()))
    number = draw(st.sampled_from((1, 1, 2)))
    return Spoiled(service, operation, number, draw(st.sampled_from(Fault)), draw(st.booleans()))


@dataclass(eq=False)
class Reader:
    """A client's tab, which comes back with another connection.

    `start` and `position` are those of its first and its last answer. `posted` and `seen` are
    ids: of what came by itself, and of all that it knows.
    """

    client: str
    connection_id: str | None = None
    start: dict[str, Any] | None = None
    position: dict[str, Any] | None = None
    posted: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)


class Deliveries(RuleBasedStateMachine):
    """Publishers, readers that come and go, and what Lambda and SQS still have to do.

    `pending` are events for `notify` that are due, retries and continuations among them.
    """

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.readers: list[Reader] = []
        self.pending: list[dict[str, Any]] = []
        self.published: dict[str, tuple[str, ...] | None] = {}

    @initialize()
    def begin(self) -> None:
        """Begin with an empty history, and post to one connection after the other."""
        self.world.reset(SETTINGS)
        self.world.patch.setattr("chalicelib.services.delivery.CONCURRENCY", 1)

    @rule(client=st.sampled_from(CLIENTS), returns=st.booleans())
    def join(self, client: str, returns: bool) -> None:
        """Open a connection, as a new reader or as one that comes back, and recover."""
        away = [each for each in self.readers if not each.connection_id and each.client == client]
        if returns and away:
            reader = away[0]
        else:
            reader = Reader(client)
            self.readers.append(reader)
        self.connect(reader)
        self.ask(reader, None)

    @precondition(lambda self: self.connected())
    @rule(choice=st.integers(0, 20))
    def leave(self, choice: int) -> None:
        """Close a connection."""
        reader = self.one(self.connected(), choice)
        self.listen(reader)
        assert reader.connection_id
        self.world.leave(reader.connection_id)
        self.invoke("disconnect", self.world.disconnecting(reader.connection_id), None)
        reader.connection_id = None

    @rule(
        named=st.sampled_from((None, ("alice",), ("bob", "alice"), ("carol", "bob"))),
        trouble=troubles("notify"),
        short=st.booleans(),
    )
    def publish(self, named: tuple[str, ...] | None, trouble: Spoiled | None, short: bool) -> None:
        """Publish a notification, and deliver it for the first time."""
        event = sns_event(clientId=("String.Array", json.dumps(named))) if named else sns_event()
        identifier = f"id-{next(self.numbers)}"
        event["Records"][0]["Sns"]["MessageId"] = identifier
        self.published[identifier] = named
        self.deliver(event, trouble, short=short)

    @precondition(lambda self: self.pending)
    @rule(choice=st.integers(0, 20), trouble=troubles("notify"), short=st.booleans())
    def work(self, choice: int, trouble: Spoiled | None, short: bool) -> None:
        """Let Lambda do one thing that is due: a retry or a continuation."""
        self.deliver(self.pending.pop(choice % len(self.pending)), trouble, short=short)

    @precondition(lambda self: self.connected())
    @rule(choice=st.integers(0, 20), trouble=troubles("message"))
    def recover(self, choice: int, trouble: Spoiled | None) -> None:
        """Ask for what was missed."""
        self.ask(self.one(self.connected(), choice), trouble)

    @precondition(lambda self: self.world.queue.messages)
    @rule(choice=st.integers(0, 20), trouble=troubles("unclaimed"))
    def look(self, choice: int, trouble: Spoiled | None) -> None:
        """Look after the clients of a message that has waited in the queue."""
        messages = self.world.queue.messages
        body = messages.pop(choice % len(messages))
        claimed = self.world.table.claims()
        announced = len(self.world.bus.unclaimed)
        if self.invoke("unclaimed", sqs_event(body), trouble).error:
            messages.append(body)
        for detail in self.world.bus.unclaimed[announced:]:
            key = f"c#{detail['clientId']}", detail["seq"]
            assert key not in claimed, f"announced although it was claimed: {detail}"

    @rule(seconds=st.sampled_from((1, 30, 61)))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds)

    def teardown(self) -> None:
        """Let everything that is due happen, have everybody recover, and compare."""
        if not self.published:
            return
        for _ in range(MOST_ROUNDS):
            if not self.pending:
                break
            self.deliver(self.pending.pop(0), None, short=False)
        assert not self.pending, "a notification is delivered again and again"
        for reader in self.readers:
            if reader.connection_id is None:
                self.connect(reader)
            self.listen(reader)
            self.ask(reader, None)
        for _ in range(len(self.world.queue.messages)):
            self.look_calmly()
        self.compare()

    def look_calmly(self) -> None:
        """Look after the clients of the oldest message."""
        body = self.world.queue.messages.pop(0)
        assert self.invoke("unclaimed", sqs_event(body), None).error is None

    def compare(self) -> None:
        """Compare the history with what was published, and the readers with the history."""
        history = self.world.table.history()
        streams = {
            identifier: ["all"] if named is None else [f"c#{name}" for name in named]
            for identifier, named in self.published.items()
        }
        counted = Counter((name, each["id"]) for name, of in history.items() for each in of)
        expected = Counter((name, each) for each, names in streams.items() for name in names)
        assert counted == expected, f"recorded {counted - expected}, missing {expected - counted}"
        for entries in history.values():
            assert [each["prev"] for each in entries] == ["0", *(e["seq"] for e in entries[:-1])]
        for reader in self.readers:
            self.compare_reader(reader, history)
        claims = self.world.table.claims()
        announced = {(each["id"], each["clientId"]) for each in self.world.bus.unclaimed}
        for identifier, named in self.published.items():
            for client in named or ():
                [seq] = [int(e["seq"]) for e in history[f"c#{client}"] if e["id"] == identifier]
                own = [each for each in self.readers if each.client == client]
                is_home = any(identifier in each.posted for each in own)
                is_told = (identifier, client) in announced or (f"c#{client}", seq) in claims
                assert is_home or is_told, f"nobody home, and nobody told: {identifier}, {client}"

    def compare_reader(self, reader: Reader, history: dict[str, list[dict[str, Any]]]) -> None:
        """Check that a reader knows each entry behind its start."""
        assert reader.start is not None, "the first answer has not come in calm"
        starts = {"all": reader.start["all"], f"c#{reader.client}": reader.start["own"]["seq"]}
        for stream, start in starts.items():
            due = {each["id"] for each in history.get(stream, []) if int(each["seq"]) > start}
            assert due <= reader.seen, f"{reader.client} has missed {sorted(due - reader.seen)}"

    def deliver(self, event: dict[str, Any], trouble: Spoiled | None, *, short: bool) -> None:
        """Invoke `notify`, and note what Lambda has to do next."""

        def slow(method: str, _connection_id: str) -> None:
            self.world.clock.advance(1.0 if method == "POST" else 0.0)

        self.world.api.before = slow if short else lambda _method, _connection_id: None
        done = self.invoke("notify", event, trouble, SHORT_S if short else LONG_S)
        self.world.api.before = lambda _method, _connection_id: None
        if done.error:
            self.pending.append(event)
        self.pending += self.world.functions.queued
        self.world.functions.queued.clear()

    def ask(self, reader: Reader, trouble: Spoiled | None) -> None:
        """Recover page by page, until nothing is left or the answer is to try again."""
        while True:
            body = {"action": "recover", "n": 1, "after": reader.position}
            event = connect_event(reader.connection_id)
            event["requestContext"] |= {"routeKey": "$default", "eventType": "MESSAGE"}
            done = self.invoke("message", event | {"body": json.dumps(body)}, trouble)
            answer = json.loads(done.result["body"])
            if answer["type"] != "recovered":
                assert trouble, answer
                return
            own = [each["seq"] for each in answer["notifications"] if each["stream"] == "own"]
            claims = self.world.table.claims()
            if reader.start is not None:
                assert {(f"c#{reader.client}", seq) for seq in own} <= claims.keys()
            assert own == sorted(own)
            reader.seen |= {each["id"] for each in answer["notifications"]}
            reader.position = answer["position"]
            reader.start = reader.start or reader.position
            if not answer["more"]:
                return

    def connect(self, reader: Reader) -> None:
        """Open a connection."""
        reader.connection_id = f"c{next(self.numbers)}"
        event = self.world.connecting(reader.connection_id, query={"clientId": [reader.client]})
        assert self.invoke("connect", event, None).status == 200
        self.world.open(reader.connection_id, reader.client)

    def listen(self, reader: Reader) -> None:
        """Read what was posted to a connection."""
        for text in self.world.api.inboxes.get(reader.connection_id or "", ()):
            message = json.loads(text)
            reader.posted.add(message["id"])
            reader.seen.add(message["id"])

    def invoke(
        self, function: str, event: dict[str, Any], trouble: Spoiled | None, limit: float = LONG_S
    ) -> Invocation:
        """Invoke a function in a trouble."""
        if trouble:
            self.world.spoil(trouble)
        done = self.world.invoke(function, event, limit)
        self.world.spoil()
        found = list(invariants.of_invocation(done))
        assert not found, found
        return done

    def connected(self) -> list[Reader]:
        """Return the readers that are connected."""
        return [each for each in self.readers if each.connection_id]

    def one(self, readers: list[Reader], choice: int) -> Reader:
        """Return one of some readers."""
        return readers[choice % len(readers)]
