"""Finds out which of many clients are connected, and when they were last active."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.adapters.connections_api.activity import last_active_ms
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.domain.errors import StoreError
from chalicelib.domain.liveness import is_young
from chalicelib.domain.presence import MOST_CONNECTIONS, MOST_LOOKS, PAGE_CLIENTS, Presence
from chalicelib.services.denials import Denials

if TYPE_CHECKING:
    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.domain.presence import Question
    from chalicelib.reader import ConnectionReader
    from chalicelib.settings import Settings

LOOKS_A_SECOND = 500


@dataclass
class Lookup:
    """Answers one question by `deadline`. `now_ms` is the epoch ms that ages are counted to."""

    store: ConnectionReader
    config: Settings
    deadline: Deadline
    now_ms: int
    answers: Denials = field(default_factory=Denials)
    # By connection id: when its client was last active, None if API Gateway did not say.
    _active: dict[str, int | None] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    def answer(self, question: Question) -> tuple[list[Presence], str | None]:
        """Return the next page of the answer, and the last client on it if more are left.

        Costs one Query for each client, and with a look one GET for each of its newest connections.
        What time does not allow is left to the next request; one client at least is answered.
        Raises `StoreError`.
        """
        found = self._found(question)
        clients = list(found)
        if question.look:
            looked = {client_id: rows[:MOST_LOOKS] for client_id, rows in found.items()}
            unseen = self._look([row for rows in looked.values() for row in rows])
            clients = list(itertools.takewhile(lambda each: not unseen[each], clients))
            clients = clients or list(found)[:1]
        page = [self._presence(client_id, found[client_id]) for client_id in clients]
        is_last = len(page) == len(question.client_ids)
        return page, None if is_last else clients[-1]

    def _found(self, question: Question) -> dict[str, list[Connection]]:
        """Return the connections of the next clients, newest first. Leaves time for a look."""
        share = 0.5 if question.look else 1.0
        store = self.store.until(self.deadline.within(self.deadline.left() * share))
        found: dict[str, list[Connection]] = {}
        for client_id in question.client_ids[:PAGE_CLIENTS]:
            rows = store.of_client(client_id, self.now_ms, page=MOST_CONNECTIONS)
            try:
                newest = list(itertools.islice(rows, MOST_CONNECTIONS))
            except StoreError as error:
                if error.code != NOT_STARTED or not found:
                    raise
                break
            found[client_id] = [row for row in newest if not row.is_expired(self.now_ms)]
        return found

    def _look(self, connections: list[Connection]) -> Counter[str]:
        """Ask API Gateway about connections. Return how many were not reached, by client."""
        unseen: Counter[str] = Counter()
        for endpoint, group in by_endpoint(connections, self.config.management_endpoint).items():
            by_id = {connection.connection_id: connection for connection in group}

            def on_reply(call: Call, reply: Reply, by_id: dict[str, Connection] = by_id) -> None:
                self._see(by_id[call.connection_id], reply)

            api = ConnectionsApiClient(endpoint, aws_clients.credentials())
            calls = (Call("GET", connection_id) for connection_id in by_id)
            left = api.send_all(calls, on_reply, self.deadline.at, rate=LOOKS_A_SECOND)
            unseen.update(by_id[call.connection_id].client_id for call in left)
        return unseen

    def _see(self, connection: Connection, reply: Reply) -> None:
        self.answers.add(reply)
        if reply.status == 200:
            self._active[connection.connection_id] = last_active_ms(reply.body)
        elif reply.status == 410 and not is_young(connection, self.now_ms):
            self._gone.add(connection.connection_id)

    def _presence(self, client_id: str, rows: list[Connection]) -> Presence:
        living = [row for row in rows if row.connection_id not in self._gone]
        opened = [row.connected_at or row.created_at for row in living]
        active = [self._active.get(row.connection_id) for row in living]
        last_active = max((at for at in active if at is not None), default=None)
        return Presence(client_id, len(living), min(opened, default=None), last_active)
