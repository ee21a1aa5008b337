"""Closes connections from the server's side, and says goodbye to their clients before that."""

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
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import Intent
from chalicelib.domain.errors import StoreError
from chalicelib.domain.goodbye import goodbye, is_announced
from chalicelib.domain.liveness import is_young
from chalicelib.services.endings import remove_orphans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.adapters.connections_api.endpoint import Endpoint
    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

# How often a connection that is not open yet is tried again.
NOT_OPEN_PAUSE_S = 0.5
# The goodbyes of so many connections are sent before the first of them is closed.
BATCH = 100
# A goodbye is tried once, for so long: it must not keep a close waiting.
GOODBYE_S = 1.0
# Time kept for withdrawing an intent.
WITHDRAW_S = FOLLOWING_S


class CloseOutcome(StrEnum):
    """The result of closing one connection.

    An expired one is renewed, and stays, if its client has sent a new token meanwhile.
    """

    CLOSED = "closed"
    ALREADY_GONE = "already gone"
    NOT_OPEN_YET = "not open yet"
    RENEWED = "renewed"
    FAILED = "failed"


@dataclass
class Closing:
    """Closes connections for one `cause` until `deadline`, and collects the outcomes.

    API Gateway reports such a close to `$disconnect` as a plain 1000, and shows the client nothing
    else. So the cause is recorded in the row first, and then the client is told in a goodbye, with
    `message` and `reconnect` if they are given. The cause is withdrawn if the close certainly did
    not happen and the client was not told, and lapses with time where that is unknown.

    `wait_for_opening`: a connection whose handshake is running answers 410. It is tried again
    until it opens; with no time left its outcome is `not open yet`, and the sweep closes it.
    `is_due`: it was promised, so that a close that fails is due again in the next sweep. `timeout`
    (s) is the time for one request.
    """

    cause: Cause
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: Deadline
    reason: str | None = None
    message: str | None = None
    reconnect: bool | None = None
    wait_for_opening: bool = False
    is_due: bool = False
    timeout: float = ConnectionsApiClient.timeout
    outcomes: dict[str, CloseOutcome] = field(default_factory=dict)
    # Whether the client was told, by connection id; False where that is unknown.
    _told: dict[str, bool] = field(default_factory=dict)
    _gone: list[Connection] = field(default_factory=list)
    # The intents in the rows, and the ids of those that stay there.
    _intents: dict[str, tuple[Connection, Intent]] = field(default_factory=dict)
    _lasting: set[str] = field(default_factory=set)

    def close(self, connections: Iterable[Connection]) -> dict[str, CloseOutcome]:
        """Close each connection and return the outcomes by connection id.

        Costs one UpdateItem, one POST and one DELETE for each connection, and no POST if it is
        `silent`. A connection that is gone, past the grace period, has lost its `$disconnect`: its
        row is removed here.
        """
        pending = list(connections)
        until = self.deadline.minus(WITHDRAW_S)
        self.outcomes |= {each.connection_id: CloseOutcome.FAILED for each in pending}
        while pending:
            for endpoint, group in by_endpoint(pending, self.config.management_endpoint).items():
                for start in range(0, len(group), BATCH):
                    self._close_batch(endpoint, group[start : start + BATCH], until)
            pending = [
                connection
                for connection in pending
                if self.outcomes[connection.connection_id] is CloseOutcome.NOT_OPEN_YET
            ]
            worst_s = NOT_OPEN_PAUSE_S + self._worst_s
            if not (pending and self.wait_for_opening and until.allows(worst_s)):
                break
            time.sleep(NOT_OPEN_PAUSE_S)
        self._withdraw()
        remove_orphans(self._gone, self.store, self.config, self.log, self.deadline)
        return self.outcomes

    @property
    def _worst_s(self) -> float:
        """The longest time that marking, telling and closing one connection take."""
        return ATTEMPT_S + (GOODBYE_S if is_announced(self.cause) else 0) + self.timeout

    def _close_batch(
        self, endpoint: Endpoint, connections: list[Connection], until: Deadline
    ) -> None:
        by_id = {connection.connection_id: connection for connection in connections}
        marked = self._marked(connections, until)
        if is_announced(self.cause):
            marked = iter(self._say_goodbye(endpoint, marked, until.minus(self.timeout)))

        def on_reply(call: Call, reply: Reply) -> None:
            self._on_reply(by_id[call.connection_id], reply)

        calls = (Call("DELETE", connection.connection_id) for connection in marked)
        api = ConnectionsApiClient(endpoint, aws_clients.credentials(), timeout=self.timeout)
        api.send_all(calls, on_reply, until.at, retry=backoff)

    def _say_goodbye(
        self, endpoint: Endpoint, connections: Iterator[Connection], until: Deadline
    ) -> list[Connection]:
        """Say goodbye to each connection, and return those that API Gateway still has.

        A goodbye that fails stops nothing: the client meets the end of its connection without a
        word, and comes back once.
        """
        text = goodbye(self.cause, self.message, reconnect=self.reconnect).text().encode()
        by_id: dict[str, Connection] = {}

        def calls() -> Iterator[Call]:
            for connection in connections:
                by_id[connection.connection_id] = connection
                yield Call("POST", connection.connection_id, text)

        def on_reply(call: Call, reply: Reply) -> None:
            connection_id = call.connection_id
            if reply.status == 410:
                self._on_gone(by_id.pop(connection_id))
                return
            if reply.status == 200 or _is_unknown(reply):
                self._told[connection_id] = reply.status == 200
                self._lasting.add(connection_id)
            if reply.status != 200:
                self.log.warning(
                    "no goodbye", closedId=connection_id, status=reply.status, error=reply.error
                )

        api = ConnectionsApiClient(endpoint, aws_clients.credentials(), timeout=GOODBYE_S)
        api.send_all(calls(), on_reply, until.at)
        return list(by_id.values())

    def _marked(self, connections: list[Connection], until: Deadline) -> Iterator[Connection]:
        """Mark each row just before its first call starts, and yield its connection."""
        for connection in connections:
            if not until.allows(self._worst_s):
                return
            if connection.connection_id in self._intents:  # a connection that was not open yet
                yield connection
                continue
            at = now_ms()
            is_due = self.is_due or (self.wait_for_opening and connection.may_be_opening(at))
            intent = Intent(self.cause, at, self.reason, self.reconnect, is_due)
            try:
                is_marked = self.store.mark_closing(connection, intent)
            except StoreError as error:
                self.log.error(
                    "could not mark connection for closing",
                    error=str(error),
                    closedId=connection.connection_id,
                )
                continue
            if self.cause is Cause.EXPIRED and not is_marked:
                self.outcomes[connection.connection_id] = CloseOutcome.RENEWED
                continue
            self._intents[connection.connection_id] = connection, intent
            yield connection

    def _on_reply(self, connection: Connection, reply: Reply) -> None:
        connection_id = connection.connection_id
        if reply.status == 204:
            self.outcomes[connection_id] = CloseOutcome.CLOSED
            self._lasting.add(connection_id)
        elif reply.status == 410:
            self._on_gone(connection)
        else:
            self.outcomes[connection_id] = CloseOutcome.FAILED
            self.log.error(
                "not closed", closedId=connection_id, status=reply.status, error=reply.error
            )
            if _is_unknown(reply):
                self._lasting.add(connection_id)
            elif connection_id not in self._told:  # it was not open before, and is refused now
                self._lasting.discard(connection_id)

    def _on_gone(self, connection: Connection) -> None:
        """Handle a 410. A client that was told may have closed first, and has a `$disconnect`."""
        connection_id = connection.connection_id
        told = self._told.get(connection_id)
        if told:
            self.outcomes[connection_id] = CloseOutcome.CLOSED
        elif connection.may_be_opening(now_ms()):
            self.outcomes[connection_id] = CloseOutcome.NOT_OPEN_YET
            self._lasting.add(connection_id)
        else:
            self.outcomes[connection_id] = CloseOutcome.ALREADY_GONE
            if self.cause is Cause.SILENT:  # it was there a moment ago: its `$disconnect` follows
                self._lasting.add(connection_id)
            elif told is None:
                self._lasting.discard(connection_id)
                if not is_young(connection, now_ms()):
                    self._gone.append(connection)

    def _withdraw(self) -> None:
        """Remove the intents of closes that certainly did not happen, and are not due."""
        if self.is_due:
            return
        dead = {each.connection_id for each in self._gone}
        for connection_id, (connection, intent) in self._intents.items():
            if connection_id in self._lasting or connection_id in dead:
                continue
            try:
                self.store.withdraw_closing(connection, intent)
            except StoreError as error:  # it lapses by its time
                self.log.warning(
                    "could not withdraw the mark", error=str(error), closedId=connection_id
                )


def _is_unknown(reply: Reply) -> bool:
    """Return whether a failed request may have been carried out: 5xx, or sent without an answer."""
    return reply.sent and (reply.status is None or reply.status >= 500)
