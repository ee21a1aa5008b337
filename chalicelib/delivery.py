"""Delivers a notification to every connection that it is meant for, once."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib import sdk
from chalicelib.closing import endpoint_of, remove_orphans
from chalicelib.latencies import Latencies
from chalicelib.management import Call, Management, backoff

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.management import Endpoint, Reply
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore

# As many posts in flight as make up the account's 10,000 requests a second when each takes 10 ms.
LANES = 100
# The rows of connections that turn out to be gone are removed so many at a time.
REMOVALS_A_BATCH = 100


class Outcome(StrEnum):
    """What became of a notification at one connection.

    One is skipped when its row does not tell the API that holds it.
    """

    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"
    SKIPPED = "skipped"


def outcome_of(status: int | None) -> Outcome:
    """Name what the last answer to a post means; None is no answer."""
    if status == 200:
        return Outcome.DELIVERED
    return Outcome.GONE if status == 410 else Outcome.FAILED


@dataclass(frozen=True)
class Place:
    """Where a delivery goes on.

    Each API is served in a tour of its own over the connections, though there is nearly always
    one API. `apis` are the addresses of those that have been met, `tour` is the number of the one
    that is being served, `client` that of the client, when the notification names some. `after`
    is the last connection that was passed, by its id and `createdAt` (epoch ms).
    """

    apis: tuple[str, ...] = ()
    tour: int = 0
    client: int = 0
    after: tuple[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as a part of an event."""
        return {
            "apis": list(self.apis),
            "tour": self.tour,
            "client": self.client,
            "after": self.after and list(self.after),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Place:
        """Read what `to_json` gave."""
        after = fields["after"]
        return cls(
            tuple(fields["apis"]), fields["tour"], fields["client"], after and (after[0], after[1])
        )


@dataclass
class Delivery:
    """One run of a delivery, from `place` on until all is served or the time is up.

    No `client_ids` means every client. `deadline` is in s of `time.monotonic`. Connections are
    streamed: those in flight are held in memory, a page of rows, and a batch of what is gone.
    """

    envelope: bytes
    client_ids: tuple[str, ...] | None
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: float
    place: Place = field(default_factory=Place)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    _before: Place = field(init=False)  # the place of the call that was given last
    _api: Endpoint = field(init=False)
    _toured: bool = field(init=False)
    _in_flight: dict[str, Connection] = field(init=False, default_factory=dict)
    _gone: list[Connection] = field(init=False, default_factory=list)

    def run(self) -> bool:
        """Deliver, and tell whether all is served; if not, `place` is where the rest begins.

        Raises `StoreError` when the table cannot be read, with `place` set as well.
        """
        while self._tour():
            following = self.place.tour + 1
            if following >= len(self.place.apis):
                return True
            self.place = Place(self.place.apis, following)
        return False

    def remove_gone(self, deadline: float) -> None:
        """Remove the rows of those that are gone, if past the grace; the sweep gets the rest."""
        in_time = itertools.takewhile(lambda _: time.monotonic() < deadline, self._gone)
        remove_orphans(in_time, self.store, self.config, self.log)
        self._gone.clear()

    def _tour(self) -> bool:
        """Serve the connections of one API; tell whether there are no more of it."""
        self._toured = False
        calls = self._calls()
        first = next(calls, None)
        if first is not None:
            management = Management(self._api, sdk.credentials(), concurrency=LANES)
            left = management.carry_out(
                itertools.chain([first], calls), self._on_reply, self.deadline, retry=backoff
            )
            if next(left, None) is not None:  # it is the call that was given last
                self.place = self._before
                return False
        return self._toured

    def _calls(self) -> Iterator[Call]:
        """Give the calls of a tour, and move `place` past each connection that is read for it."""
        apis, tour = self.place.apis, self.place.tour
        for client, connection in self._targets():
            if time.monotonic() >= self.deadline:
                return
            api = endpoint_of(connection, self.config.management_endpoint)
            if api is not None and api.address not in apis:
                apis += (api.address,)
            after = connection.connection_id, connection.created_at
            self._before, self.place = self.place, Place(apis, tour, client, after)
            if api is None:
                self.outcomes[Outcome.SKIPPED] += tour == 0
            elif api.address == apis[tour]:
                self._api = api
                self._in_flight[connection.connection_id] = connection
                yield Call("POST", connection.connection_id, self.envelope)
        self._toured = True

    def _targets(self) -> Iterator[tuple[int, Connection]]:
        """Read the connections from `place` on, each with the number of its client."""
        now_ms = time.time_ns() // 1_000_000
        start = self.place
        if self.client_ids is None:
            after = start.after and start.after[0]
            for connection in self.store.live(now_ms, addresses_only=True, after=after):
                yield 0, connection
            return
        for number, client_id in enumerate(self.client_ids):
            if number >= start.client:
                key = start.after if number == start.client else None
                for connection in self.store.of_client(client_id, now_ms, after=key):
                    yield number, connection

    def _on_reply(self, call: Call, reply: Reply) -> None:
        connection = self._in_flight.pop(call.connection_id)
        outcome = outcome_of(reply.status)
        self.outcomes[outcome] += 1
        self.latencies.add(reply.seconds)
        if outcome is Outcome.FAILED:
            self.log.warning(
                "not delivered", failedId=call.connection_id, status=reply.status, error=reply.error
            )
        elif outcome is Outcome.GONE:
            self._gone.append(connection)
            if len(self._gone) >= REMOVALS_A_BATCH:
                self.remove_gone(self.deadline)
