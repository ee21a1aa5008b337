"""Random lives of connections under faults, compared with what the world knows of them.

The world (`world.py`) is the model: it knows which connections have opened, live and have ended.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.faults import invariants
from tests.faults.invariants import Failure, Seen
from tests.faults.spoiling import UNCERTAIN, Fault, Spoiled
from tests.faults.world import Invocation, World
from tests.support.notifications import sns_event

LIMIT = 2
TWO_HOURS_MS = 7_200_000
INTERVAL_S = {"connect": 10.0, "disconnect": 10.0}

# The calls that each function may make.
OPERATIONS = {
    "connect": "PutItem GetItem Query UpdateItem DeleteItem PutEvents GET* POST* DELETE*",
    "disconnect": "DeleteItem GetItem PutEvents",
    "close": "Query GetItem UpdateItem DeleteItem PutEvents POST* DELETE*",
    "sweep": "Scan GetItem PutItem Query UpdateItem DeleteItem PutEvents GET* POST* DELETE*",
    "notify": "Scan DeleteItem GetItem PutEvents POST*",
}


@st.composite
def troubles(draw: Callable[[Any], Any], function: str) -> Spoiled | None:
    """Draw the fault of one invocation of a function, or None for calm."""
    if draw(st.booleans()):
        return None
    operation = draw(st.sampled_from(OPERATIONS[function].split()))
    service = "connections" if operation.endswith("*") else "dynamodb"
    if operation == "PutEvents":
        service = "eventbridge"
    number = draw(st.sampled_from((1, 1, 1, 2)))
    return Spoiled(service, operation, number, draw(st.sampled_from(Fault)), draw(st.booleans()))


class Lives(RuleBasedStateMachine):
    """Connections open, leave, are kicked and swept, and calls on the way are spoiled.

    `leaving` are the connections that have ended and whose `$disconnect` is on its way.
    """

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.leaving: list[tuple[str, int]] = []
        self.spoiled: list[Spoiled] = []
        self.tracked = self.living = frozenset[str]()

    @initialize()
    def begin(self) -> None:
        """Begin with nobody."""
        self.world.reset({"MAX_CONNECTIONS_PER_CLIENT": str(LIMIT)})

    @rule(client=st.sampled_from(("alice", "bob", None)), trouble=troubles("connect"))
    def connect(self, client: str | None, trouble: Spoiled | None) -> None:
        """Open a connection, unless the handshake is refused."""
        connection_id = f"c{next(self.numbers)}"
        query = {"clientId": [client]} if client else {}
        event = self.world.connecting(connection_id, query=query)
        if self.invoke("connect", event, trouble).status == 200:
            self.world.open(connection_id, client)
        self.look()
        self.check_replaced()

    @precondition(lambda self: self.world.api.inboxes)
    @rule(choice=st.integers(0), code=st.sampled_from((1000, 1001, 1005, 1006, 4001)))
    def leave(self, choice: int, code: int) -> None:
        """Have a client leave; its `$disconnect` comes later, or never."""
        living = sorted(self.world.api.inboxes)
        connection_id = living[choice % len(living)]
        self.world.leave(connection_id)
        self.leaving.append((connection_id, code))

    @precondition(lambda self: self.leaving)
    @rule(choice=st.integers(0), trouble=troubles("disconnect"), comes_again=st.booleans())
    def report(self, choice: int, trouble: Spoiled | None, comes_again: bool) -> None:
        """Deliver a `$disconnect`, which may come twice."""
        number = choice % len(self.leaving)
        connection_id, code = self.leaving[number]
        if not comes_again:
            del self.leaving[number]
        self.invoke("disconnect", self.world.disconnecting(connection_id, code), trouble)

    @precondition(lambda self: self.leaving)
    @rule(choice=st.integers(0))
    def lose(self, choice: int) -> None:
        """Never deliver a `$disconnect`."""
        del self.leaving[choice % len(self.leaving)]

    @rule(client=st.sampled_from(("alice", "bob")), trouble=troubles("close"))
    def kick(self, client: str, trouble: Spoiled | None) -> None:
        """Close all connections of a client."""
        targets = {name for name in self.world.api.inboxes if self.is_of(name, client)}
        done = self.invoke("close", {"clientId": client, "reason": "signed out"}, trouble)
        rows, living = self.world.table.rows(), frozenset(self.world.api.inboxes)
        for connection_id in targets:
            opened = self.world.opened[connection_id]
            opened.has_left |= connection_id not in living
            opened.was_kicked |= "closeDue" in rows.get(connection_id, ())  # by a later sweep
        self.check(list(invariants.of_close(self.world, done, living)))

    @rule(trouble=troubles("sweep"))
    def sweep(self, trouble: Spoiled | None) -> None:
        """Sweep the table."""
        self.invoke("sweep", {}, trouble)
        self.check_replaced()

    @rule(trouble=troubles("notify"))
    def notify(self, trouble: Spoiled | None) -> None:
        """Send a notification to everybody."""
        self.invoke("notify", sns_event(), trouble)

    @rule(seconds=st.sampled_from((1, 30, 61, 600, 4000)))
    def wait(self, seconds: int) -> None:
        """Let time pass. API Gateway closes what is two hours old."""
        self.world.clock.advance(seconds)
        for connection_id in list(self.world.api.inboxes):
            if self.world.now_ms() - self.world.opened[connection_id].at_ms >= TWO_HOURS_MS:
                self.world.leave(connection_id)
                self.leaving.append((connection_id, 1001))

    def teardown(self) -> None:
        """Let the dust settle, and compare the table, the counts and the announcements."""
        self.world.settle()
        was_down = any(each.takes_down for each in self.spoiled)
        may_repeat = any(each.fault in UNCERTAIN for each in self.spoiled)
        seen = Seen(LIMIT, self.tracked, self.living, may_repeat, was_down)
        self.check(list(invariants.of_world(self.world, seen)))

    def invoke(self, function: str, event: dict[str, Any], trouble: Spoiled | None) -> Invocation:
        """Invoke a function in a trouble, and deliver what it has closed later."""
        if trouble:
            self.world.spoil(trouble)
            self.spoiled.append(trouble)
        done = self.world.invoke(function, event, INTERVAL_S.get(function, 30.0))
        self.world.spoil()
        self.collect_closed()
        self.check(list(invariants.of_invocation(done)))
        if function != "connect":
            self.look()
        return done

    def collect_closed(self) -> None:
        """Have the `$disconnect` of each connection that the functions have closed come later."""
        for connection_id in self.world.api.closed:
            if connection_id not in self.world.told:
                self.world.told.add(connection_id)
                self.leaving.append((connection_id, 1000))

    def look(self) -> None:
        """Check that each living connection has a row."""
        self.tracked = frozenset(self.world.table.rows())
        self.living = frozenset(self.world.api.inboxes)
        untracked = sorted(self.living - self.tracked)
        self.check([Failure("live connection untracked", str(untracked))] if untracked else [])

    def check_replaced(self) -> None:
        """Check that each connection closed for the limit had enough newer ones that live.

        One whose kick is due may be closed for that, by a later sweep.
        """
        for connection_id in set(self.world.api.closed):
            closed = self.world.opened[connection_id]
            if closed.has_left:
                continue
            closed.has_left = True
            if closed.was_kicked:
                continue
            newer = set(self.newer(closed.client, closed.at_ms)) - {connection_id}
            if len(newer) < LIMIT:
                self.check([Failure("limit closed too many", f"{connection_id}; stay {newer}")])

    def newer(self, client: str | None, at_ms: int) -> Iterator[str]:
        """Yield the open connections of a client that are not older than this (epoch ms)."""
        for name in self.world.api.inboxes:
            if self.is_of(name, client) and self.world.opened[name].at_ms >= at_ms:
                yield name

    def is_of(self, connection_id: str, client: str | None) -> bool:
        """Return whether a connection is a client's."""
        return self.world.opened[connection_id].client == client

    def check(self, found: list[Failure]) -> None:
        """Fail with everything that does not hold."""
        assert not found, found
