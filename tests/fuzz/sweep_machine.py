"""The sweep while others write: connections open, leave and end between two of its calls."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.faults.machine import Lives

ACTIONS = ("connect", "connect alice", "leave", "report", "repeat", "kick", "sweep")


class Sweeps(Lives):
    """Lives, with other invocations in the middle of those of the sweep and of `close`.

    They run before a call on the table, in which the function waits for its answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.staying: list[tuple[str, str | None, int]] = []
        self.events: dict[str, dict[str, Any]] = {}

    @rule(
        plan=st.lists(
            st.tuples(st.integers(0, 12), st.sampled_from(ACTIONS), st.integers(0, 20)),
            min_size=1,
            max_size=4,
        ),
        ages_s=st.integers(0, 200),
    )
    def sweep_among_others(self, plan: list[tuple[int, str, int]], ages_s: int) -> None:
        """Sweep, and do something else before some of its calls."""
        self.world.clock.advance(ages_s)
        waiting = sorted(plan)
        numbers = iter(range(1_000_000))

        def act(_operation: str) -> None:
            number = next(numbers)
            self.world.table.before = _nothing  # not for the calls of the others
            while waiting and waiting[0][0] <= number:
                _, action, choice = waiting.pop(0)
                self.act(action, choice)
            self.world.table.before = act

        self.staying = [
            (name, each.client, each.at_ms)
            for name, each in self.world.opened.items()
            if name in self.world.api.inboxes
        ]
        self.world.table.before = act
        self.invoke("sweep", {}, None)
        self.world.table.before = _nothing
        self.check_replaced()
        self.staying = []

    def act(self, action: str, choice: int) -> None:
        """Do what happens beside the sweep."""
        living = sorted(self.world.api.inboxes)
        match action.split():
            case ["connect", *clients]:
                self.open(clients[0] if clients else None)
            case ["leave"] if living:
                connection_id = living[choice % len(living)]
                self.world.leave(connection_id)
                self.leaving.append((connection_id, 1001))
            case ["report"] if self.leaving:
                connection_id, code = self.leaving.pop(choice % len(self.leaving))
                self.beside("disconnect", self.world.disconnecting(connection_id, code))
            case ["repeat"] if self.events.keys() & living:
                names = sorted(self.events.keys() & living)
                self.beside("connect", self.events[names[choice % len(names)]])
            case ["sweep"]:
                self.beside("sweep", {})
            case ["kick"]:
                self.kick_beside("bob")

    def kick_beside(self, client: str) -> None:
        """Close all connections of a client beside the sweep."""
        targets = {name for name in self.world.api.inboxes if self.is_of(name, client)}
        for connection_id in targets:
            self.world.opened[connection_id].was_kicked = True
        self.beside("close", {"clientId": client})
        for connection_id in targets - set(self.world.api.inboxes):
            self.world.opened[connection_id].has_left = True

    def open(self, client: str | None) -> None:
        """Open a connection beside the sweep."""
        connection_id = f"c{next(self.numbers)}"
        query = {"clientId": [client]} if client else {}
        event = self.world.connecting(connection_id, query=query)
        self.events[connection_id] = event
        if self.beside("connect", event).status == 200:
            self.world.open(connection_id, client)
            opened = self.world.opened[connection_id]
            self.staying.append((connection_id, client, opened.at_ms))

    def beside(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke another function than the one that waits."""
        done = self.world.invoke(function, event)
        self.collect_closed()
        return done

    def newer(self, client: str | None, at_ms: int) -> Iterator[str]:
        """Yield the connections of a client that are newer, or were at any time of the sweep."""
        yield from super().newer(client, at_ms)
        for name, owner, opened_ms in self.staying:
            if owner == client and opened_ms >= at_ms:
                yield name


def _nothing(_operation: str) -> None:
    """Let a call pass."""
