"""Delivers a notification to every connection that it is meant for, once."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import FOLLOWING_S, NOT_STARTED
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import endpoint_of
from chalicelib.adapters.connections_api.retries import backoff
from chalicelib.clock import now_ms
from chalicelib.domain.errors import HistoryError, StoreError
from chalicelib.domain.liveness import is_young
from chalicelib.services.denials import Denials
from chalicelib.services.endings import remove_orphans
from chalicelib.telemetry.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.adapters.connections_api.endpoint import Endpoint
    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection
    from chalicelib.services.recording import Recording
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

    _Target = tuple[int, Connection | None]

# Posts in flight. They use up the account's 10,000 requests a second if each takes 10 ms.
CONCURRENCY = 100
# The rows of so many gone connections are removed after the posts; the sweep removes the rest.
REMOVALS = 10_000


class DeliveryOutcome(StrEnum):
    """The result of a notification at one connection.

    A connection is skipped when its row lacks the address of its API. It is expired when the
    client's token had expired before the post; a post that was tried until then has failed.
    """

    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPIRED = "expired"


def outcome_of(status: int | None) -> DeliveryOutcome:
    """Return the outcome of the last answer to a post; None is no answer."""
    if status == 200:
        return DeliveryOutcome.DELIVERED
    return DeliveryOutcome.GONE if status == 410 else DeliveryOutcome.FAILED


@dataclass(frozen=True)
class Cursor:
    """Where a delivery continues.

    Connections are processed API by API, one pass each, though there is nearly always one API.
    `apis` are the addresses met so far, `pass_` is the number of the current one. `client` is
    the number of the current client if the notification names clients. `after` is the last
    connection processed: its id and its `createdAt` (epoch ms).
    """

    apis: tuple[str, ...] = ()
    pass_: int = 0
    client: int = 0
    after: tuple[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the cursor as part of an event. `tour` is the number of the pass."""
        return {
            "apis": list(self.apis),
            "tour": self.pass_,
            "client": self.client,
            "after": self.after and list(self.after),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Cursor:
        """Parse the result of `to_json`."""
        after = fields["after"]
        return cls(
            tuple(fields["apis"]), fields["tour"], fields["client"], after and (after[0], after[1])
        )


@dataclass
class Delivery:
    """One run of a delivery, from `cursor` until everything was sent or the deadline.

    `client_ids` of None means every client. `recording` records the notification for each client
    before it is posted, unless there is no history. `reached` are the numbers of the named clients
    of whom a connection took the post. Connections are streamed: memory holds those in flight, one
    page of rows, and up to `REMOVALS` connections that are gone.
    """

    envelope: bytes
    client_ids: tuple[str, ...] | None
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: Deadline
    cursor: Cursor = field(default_factory=Cursor)
    recording: Recording | None = None
    outcomes: Counter[DeliveryOutcome] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    answers: Denials = field(default_factory=Denials)
    reached: set[int] = field(default_factory=set)
    _before: Cursor = field(init=False)  # the cursor before the last call that was yielded
    _api: Endpoint = field(init=False)
    _body: bytes = field(init=False)  # the envelope for the current client
    _pass_done: bool = field(init=False)
    _in_flight: dict[str, tuple[int, Connection]] = field(init=False, default_factory=dict)
    _gone: list[Connection] = field(init=False, default_factory=list)

    def run(self) -> bool:
        """Deliver. Return True when everything was sent; otherwise `cursor` says where to resume.

        Raises `StoreError` when the table cannot be read; `cursor` is set then, too.
        """
        while self._run_pass():
            following = self.cursor.pass_ + 1
            if following >= len(self.cursor.apis):
                return True
            self.cursor = Cursor(self.cursor.apis, following)
        return False

    def remove_gone(self, deadline: Deadline) -> None:
        """Remove the rows of gone connections and announce their ends.

        What cannot be removed in time is left to the sweep.
        """
        store = self.store.until(deadline.minus(FOLLOWING_S))
        remove_orphans(self._gone, store, self.config, self.log, deadline)

    def _run_pass(self) -> bool:
        """Deliver to one API's connections. Return True when there are no more."""
        self._pass_done = False
        calls = self._calls()
        first = next(calls, None)
        if first is not None:
            api = ConnectionsApiClient(
                self._api, aws_clients.credentials(), concurrency=CONCURRENCY
            )
            not_started = api.send_all(
                itertools.chain([first], calls), self._on_reply, self.deadline.at, retry=backoff
            )
            if next(not_started, None) is not None:  # the last call that was yielded
                self.cursor = self._before
                return False
        return self._pass_done

    def _calls(self) -> Iterator[Call]:
        """Yield this pass's calls, advancing `cursor` past each connection."""
        apis, number = self.cursor.apis, self.cursor.pass_
        targets = self._targets()
        while (target := self._next(targets)) is not None:
            client, connection = target
            if connection is None:
                self.cursor = Cursor(apis, number, client + 1)
                continue
            api = endpoint_of(connection, self.config.management_endpoint)
            if api is not None and api.address not in apis:
                apis += (api.address,)
            after = connection.connection_id, connection.created_at
            self._before, self.cursor = self.cursor, Cursor(apis, number, client, after)
            if api is None:
                self.outcomes[DeliveryOutcome.SKIPPED] += number == 0
            elif api.address != apis[number]:
                continue
            elif connection.is_expired(now_ms()):
                self.outcomes[DeliveryOutcome.EXPIRED] += 1
            else:
                self._api = api
                self._in_flight[connection.connection_id] = client, connection
                yield Call("POST", connection.connection_id, self._body, connection.expires_at)

    def _next(self, targets: Iterator[_Target]) -> _Target | None:
        """Return the next target, or None when there are no more or time is out."""
        if self.deadline.left() <= 0:
            return None
        try:
            return next(targets)
        except StopIteration:
            self._pass_done = True
        except (StoreError, HistoryError) as error:
            if error.code != NOT_STARTED:
                raise
        return None

    def _targets(self) -> Iterator[_Target]:
        """Yield the connections behind `cursor`, each with the number of its client.

        At the end of each named client comes None, so that the cursor also moves past clients
        that have no connection.
        """
        now = now_ms()
        start = self.cursor
        if self.client_ids is None:
            after = start.after and start.after[0]
            self._begin(0)
            for connection in self.store.live(now, addresses_only=True, after=after):
                yield 0, connection
            return
        for number, client_id in enumerate(self.client_ids):
            if number >= start.client:
                key = start.after if number == start.client else None
                self._begin(number)
                for connection in self.store.of_client(client_id, now, after=key):
                    yield number, connection
                yield number, None

    def _begin(self, client: int) -> None:
        """Prepare the envelope for the named client with this number."""
        self._body = self.recording.placed(client) if self.recording else self.envelope

    def _on_reply(self, call: Call, reply: Reply) -> None:
        client, connection = self._in_flight.pop(call.connection_id)
        outcome = outcome_of(reply.status)
        if outcome is DeliveryOutcome.DELIVERED and self.client_ids is not None:
            self.reached.add(client)
        self.outcomes[outcome] += 1
        self.latencies.add(reply.seconds)
        self.answers.add(reply)
        if outcome is DeliveryOutcome.FAILED:
            self.log.warning(
                "not delivered", failedId=call.connection_id, status=reply.status, error=reply.error
            )
        elif (
            outcome is DeliveryOutcome.GONE
            and len(self._gone) < REMOVALS
            and not is_young(connection, now_ms())  # asked now: its handshake may end well later
        ):
            self._gone.append(connection)
