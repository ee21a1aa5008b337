"""The connections table as a dictionary: what each call of the store returns and leaves behind."""

from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import UNKNOWN_CLIENT, Connection, Intent
from chalicelib.domain.errors import MalformedRowError
from chalicelib.store import ConnectionStore, Removed

NOW_MS = 1_731_324_924_561
DAY_S = 86_400
IDS = ("a=", "b=", "c=", "d=")
CLIENTS = ("alice", "bob", None)
# Seconds: some are older than a connection can be.
AGES = (0, 1, 60, 7200, 7600, 90_000)
# The sweep removes only rows that say when they expire.
EXPIRING: tuple[dict[str, Any], ...] = (
    {"ttl": {"N": "1"}},
    {"ttl": {"N": "2"}, "clientId": {"N": "1"}},
)
MALFORMED: tuple[dict[str, Any], ...] = ({}, *EXPIRING)
ids = st.sampled_from(IDS)
choices = st.integers(0, 50)
intents = st.builds(
    Intent,
    st.sampled_from((Cause.KICKED, Cause.REPLACED, Cause.EXPIRED)),
    st.integers(1, 3),
    st.sampled_from((None, "signed out")),
    st.sampled_from((None, True, False)),
)


class Rows(RuleBasedStateMachine):
    """A store, and `rows`: the connection of each id, or the item of a malformed row.

    `known` are all connections that were ever written or read, from which callers judge.
    """

    store: ClassVar[ConnectionStore]

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Connection | dict[str, Any]] = {}
        self.known: list[Connection] = []
        self.number = 0

    @initialize()
    def begin(self) -> None:
        """Empty the table."""
        for page in self.store.pages(None):
            for each in page.connections:
                self.store.delete(each.connection_id)
            for item in page.malformed:
                self.store.call("delete_item", Key={"connectionId": item["connectionId"]})

    @rule(name=ids, client=st.sampled_from(CLIENTS), age_s=st.sampled_from(AGES))
    def put(self, name: str, client: str | None, age_s: int) -> None:
        """Write a row, or take it over from another delivery of the same event."""
        self.number += 1  # no two connections of a client begin in the same ms
        created_at = NOW_MS - 1000 * age_s + self.number
        ttl = NOW_MS // 1000 - age_s + DAY_S
        expires_at = NOW_MS // 1000 + 60
        owner = client or UNKNOWN_CLIENT
        written = Connection(name, created_at, ttl, owner, expires_at=expires_at)
        self.known.append(written)
        self.put_again(written)

    @rule(choice=choices)
    def repeat_put(self, choice: int) -> None:
        """Write a row again that was written before."""
        if self.known:
            self.put_again(self.known[choice % len(self.known)])

    def put_again(self, written: Connection) -> None:
        """Write a row."""
        self.store.put(written)
        existing = self.rows.get(written.connection_id)
        if isinstance(existing, Connection):
            if existing.created_at == written.created_at:  # an attempt whose answer was lost
                return
            written = replace(existing, created_at=written.created_at, ttl=written.ttl)
        self.rows[written.connection_id] = written

    @rule(name=ids, attributes=st.sampled_from(MALFORMED))
    def spoil(self, name: str, attributes: dict[str, Any]) -> None:
        """Write a row as another tool might."""
        item = {"connectionId": {"S": name}, **attributes}
        self.store.call("put_item", Item=item)
        self.rows[name] = item

    @rule(name=ids, consistent=st.booleans())
    def get(self, name: str, consistent: bool) -> None:
        """Read a row."""
        expected = self.rows.get(name)
        try:
            assert self.store.get(name, consistent=consistent) == expected
        except MalformedRowError:
            assert isinstance(expected, dict)

    @rule(name=ids)
    def delete(self, name: str) -> None:
        """Remove a row, whatever it is."""
        expected = self.rows.pop(name, None)
        try:
            removed = self.store.delete(name)
        except MalformedRowError:
            assert isinstance(expected, dict)
        else:
            assert removed == (Removed(expected) if isinstance(expected, Connection) else None)

    @rule(choice=choices)
    def remove(self, choice: int) -> None:
        """Remove the row of a connection that was judged, perhaps long ago."""
        judged = self.judged(choice)
        if judged is not None:
            current = self.current(judged)
            assert self.store.remove(judged) == current
            if current:
                del self.rows[judged.connection_id]

    @rule(name=ids, seen=st.sampled_from(EXPIRING))
    def remove_malformed(self, name: str, seen: dict[str, Any]) -> None:
        """Remove a malformed row, if it is still the one that was seen."""
        item = {"connectionId": {"S": name}, **seen}
        is_same = self.rows.get(name) == item
        assert self.store.remove_malformed(item) == is_same
        if is_same:
            del self.rows[name]

    @rule(choice=choices, intent=intents)
    def mark(self, choice: int, intent: Intent) -> None:
        """Write why the server is about to close a connection."""
        judged = self.judged(choice)
        if judged is None:
            return
        current = self.current(judged)
        is_marked = current is not None and (
            intent.cause != Cause.EXPIRED or current.expires_at == judged.expires_at
        )
        assert self.store.mark_closing(judged, intent) == is_marked
        if current and is_marked:
            self.change(
                current,
                closing=intent.cause,
                closing_at=intent.at,
                close_reason=intent.reason,
                close_reconnect=intent.reconnect,
            )

    @rule(choice=choices, at=st.integers(1, 3))
    def withdraw(self, choice: int, at: int) -> None:
        """Take an intent back, unless another one has followed."""
        judged = self.judged(choice)
        if judged is None:
            return
        current = self.current(judged)
        is_own = current is not None and current.closing_at == at
        assert self.store.withdraw_closing(judged, Intent(Cause.KICKED, at)) == is_own
        if current and is_own:
            self.change(
                current, closing=None, closing_at=None, close_reason=None, close_reconnect=None
            )

    @rule(choice=choices, seconds=st.integers(1, 3))
    def renew(self, choice: int, seconds: int) -> None:
        """Renew a token, unless the server closes the connection because it has expired."""
        judged = self.judged(choice)
        if judged is None:
            return
        current = self.current(judged)
        is_open = current is not None and current.closing != Cause.EXPIRED
        assert self.store.renew(judged, NOW_MS // 1000 + 100 * seconds) == is_open
        if current and is_open:
            self.change(current, expires_at=NOW_MS // 1000 + 100 * seconds)

    @rule(client=st.sampled_from(("alice", "bob")), after=st.integers(0, 4))
    def list_client(self, client: str, after: int) -> None:
        """List the live connections of a client, newest first, behind one of them."""
        live = [each for each in self.living() if each.client_id == client]
        live.sort(key=lambda each: -each.created_at)
        start = live[after] if after < len(live) else None
        key = (start.connection_id, start.created_at) if start else None
        found = [*self.store.of_client(client, NOW_MS, after=key, page=1)]
        assert found == (live[after + 1 :] if start else live)

    @invariant()
    def check(self) -> None:
        """Compare the whole table, and everybody who may live."""
        pages = list(self.store.pages(None))
        connections = {each.connection_id: each for page in pages for each in page.connections}
        malformed = {item["connectionId"]["S"]: item for page in pages for item in page.malformed}
        assert {**connections, **malformed} == self.rows
        living = {each.connection_id for each in self.living()}
        assert {each.connection_id for each in self.store.live(NOW_MS)} == living

    def living(self) -> list[Connection]:
        """Return the connections that may live."""
        found = [each for each in self.rows.values() if isinstance(each, Connection)]
        return [each for each in found if each.may_live(NOW_MS)]

    def judged(self, choice: int) -> Connection | None:
        """Return a connection as somebody has seen it: as it was written, or as it is now."""
        seen = [*self.known, *(each for each in self.rows.values() if isinstance(each, Connection))]
        return seen[choice % len(seen)] if seen else None

    def current(self, judged: Connection) -> Connection | None:
        """Return the row of a connection as it is now, if it is still this one's."""
        row = self.rows.get(judged.connection_id)
        is_own = isinstance(row, Connection) and row.created_at == judged.created_at
        return row if is_own and isinstance(row, Connection) else None

    def change(self, current: Connection, **changed: Any) -> None:
        """Change a row."""
        self.rows[current.connection_id] = replace(current, **changed)
