"""Closes connections from the server's side: kicked ones, and those beyond a client's limit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import ATTEMPT_S, FOLLOWING_S
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.adapters.connections_api.retries import backoff
from chalicelib.clock import now_ms
from chalicelib.domain.connection import Intent
from chalicelib.domain.errors import StoreError
from chalicelib.domain.liveness import is_young
from chalicelib.services.endings import remove_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.adapters.connections_api.endpoint import Endpoint
    from chalicelib.clock import Deadline
    from chalicelib.domain.close_causes import Cause
    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

# How often a connection that is not open yet is tried again.
NOT_OPEN_PAUSE_S = 0.5
# Time kept for withdrawing an intent.
WITHDRAW_S = FOLLOWING_S


class CloseOutcome(StrEnum):
    """The result of closing one connection."""

    CLOSED = "closed"
    ALREADY_GONE = "already gone"
    NOT_OPEN_YET = "not open yet"
    FAILED = "failed"


@dataclass
class Closing:
    """Closes connections for one `cause` until `deadline`, and collects the outcomes.

    API Gateway reports such a close to `$disconnect` as a plain 1000, so the cause is recorded in
    the row first. It is withdrawn if the close certainly did not happen, and lapses with time
    where that is unknown.

    `wait_for_opening`: a connection whose handshake is running answers 410. It is tried again
    until it opens; with no time left its outcome is `not open yet`, and the sweep closes it.
    `timeout` (s) is the time for one request.
    """

    cause: Cause
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: Deadline
    reason: str | None = None
    wait_for_opening: bool = False
    timeout: float = ConnectionsApiClient.timeout
    outcomes: dict[str, CloseOutcome] = field(default_factory=dict)
    _gone: list[Connection] = field(default_factory=list)
    # The intents in the rows, and the ids of those that stay there.
    _intents: dict[str, tuple[Connection, Intent]] = field(default_factory=dict)
    _lasting: set[str] = field(default_factory=set)

    def close(self, connections: Iterable[Connection]) -> dict[str, CloseOutcome]:
        """Close each connection and return the outcomes by connection id.

        Costs one UpdateItem and one DELETE for each connection. A connection that is gone, past
        the grace period, has lost its `$disconnect`: its row is removed here.
        """
        pending = list(connections)
        until = self.deadline.minus(WITHDRAW_S)
        self.outcomes |= {each.connection_id: CloseOutcome.FAILED for each in pending}
        while pending:
            for endpoint, group in by_endpoint(pending, self.config.management_endpoint).items():
                self._delete(endpoint, group, until)
            pending = [
                connection
                for connection in pending
                if self.outcomes[connection.connection_id] is CloseOutcome.NOT_OPEN_YET
            ]
            worst_s = NOT_OPEN_PAUSE_S + ATTEMPT_S + self.timeout
            if not (pending and self.wait_for_opening and until.allows(worst_s)):
                break
            time.sleep(NOT_OPEN_PAUSE_S)
        self._withdraw()
        dead = [each for each in self._gone if not is_young(each, now_ms())]
        remove_orphans(dead, self.store, self.config, self.log, self.deadline)
        return self.outcomes

    def _delete(self, endpoint: Endpoint, connections: list[Connection], until: Deadline) -> None:
        by_id = {connection.connection_id: connection for connection in connections}

        def on_reply(call: Call, reply: Reply) -> None:
            self._on_reply(by_id[call.connection_id], reply)

        api = ConnectionsApiClient(endpoint, aws_clients.credentials(), timeout=self.timeout)
        api.send_all(self._calls(connections, until), on_reply, until.at, retry=backoff)

    def _calls(self, connections: list[Connection], until: Deadline) -> Iterator[Call]:
        """Yield the calls lazily, marking each row just before its call starts."""
        for connection in connections:
            if not until.allows(ATTEMPT_S + self.timeout):
                return
            if connection.connection_id in self._intents:  # a connection that was not open yet
                yield Call("DELETE", connection.connection_id)
                continue
            intent = Intent(self.cause, now_ms(), self.reason)
            try:
                self.store.mark_closing(connection, intent)
            except StoreError as error:
                self.log.error(
                    "could not mark connection for closing",
                    error=str(error),
                    closedId=connection.connection_id,
                )
            else:
                self._intents[connection.connection_id] = connection, intent
                yield Call("DELETE", connection.connection_id)

    def _on_reply(self, connection: Connection, reply: Reply) -> None:
        connection_id = connection.connection_id
        if reply.status == 204:
            self.outcomes[connection_id] = CloseOutcome.CLOSED
            self._lasting.add(connection_id)
        elif reply.status == 410 and connection.may_be_opening(now_ms()):
            self.outcomes[connection_id] = CloseOutcome.NOT_OPEN_YET
            self._lasting.add(connection_id)
        elif reply.status == 410:
            self.outcomes[connection_id] = CloseOutcome.ALREADY_GONE
            self._lasting.discard(connection_id)
            self._gone.append(connection)
        else:
            self.outcomes[connection_id] = CloseOutcome.FAILED
            self.log.error(
                "not closed", closedId=connection_id, status=reply.status, error=reply.error
            )
            # 4xx, or never sent: the close did not happen. 5xx, or no answer: unknown.
            if reply.sent and (reply.status is None or reply.status >= 500):
                self._lasting.add(connection_id)

    def _withdraw(self) -> None:
        """Remove the intents of closes that certainly did not happen."""
        dead = {each.connection_id for each in self._gone if not is_young(each, now_ms())}
        for connection_id, (connection, intent) in self._intents.items():
            if connection_id in self._lasting or connection_id in dead:
                continue
            try:
                self.store.withdraw_closing(connection, intent)
            except StoreError as error:  # it lapses by its time
                self.log.warning(
                    "could not withdraw the mark", error=str(error), closedId=connection_id
                )
