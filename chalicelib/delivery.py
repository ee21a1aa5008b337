"""Delivers a notification to every connection that it is meant for, once."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field, replace
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
    from chalicelib.notification import Notification
    from chalicelib.settings import Settings
    from chalicelib.store import ConnectionStore

# The rows of connections that turn out to be gone are removed so many at a time.
REMOVALS_A_BATCH = 500


class Outcome(StrEnum):
    """What became of a notification at one connection."""

    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"
    SKIPPED = "skipped"


def outcome_of(status: int | None) -> Outcome:
    """Name what the last answer to a post means."""
    if status == 200:
        return Outcome.DELIVERED
    return Outcome.GONE if status == 410 else Outcome.FAILED


@dataclass(frozen=True)
class Place:
    """Where a delivery goes on.

    One API is served after the other, though there is nearly always one: `served` are those that
    are done. `client` is the number of the client being served, when the notification names some.
    `after` is the last connection that was served, by its id and `createdAt` (epoch ms).
    """

    served: tuple[str, ...] = ()
    client: int = 0
    after: tuple[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as a part of an event."""
        return {"served": list(self.served), "client": self.client, "after": self.after}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Place:
        """Read what `to_json` gave."""
        after = fields["after"]
        return cls(tuple(fields["served"]), fields["client"], tuple(after) if after else None)


@dataclass
class Delivery:
    """One run of a delivery, from a place on until all is served or the time is up.

    `deadline` is in s of `time.monotonic`. Connections are streamed: what is held in memory are
    those in flight.
    """

    notification: Notification
    store: ConnectionStore
    config: Settings
    log: Log
    deadline: float
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    def run(self, place: Place) -> Place | None:
        """Deliver, and give the place from which the rest is to be served, or None."""
        envelope = self.notification.envelope()
        while True:
            tour = _Tour(self, envelope, place)
            stopped_at = tour.run()
            if stopped_at is not None or tour.api is None or not tour.others:
                return stopped_at
            place = Place(served=(*place.served, tour.api.address))

    def targets(self, place: Place) -> Iterator[tuple[Place, Connection]]:
        """Read the connections from a place on, each with the place that comes after it."""
        now_ms = time.time_ns() // 1_000_000
        if self.notification.client_ids is None:
            start = place.after[0] if place.after else None
            for connection in self.store.live(now_ms, addresses_only=True, after=start):
                yield replace(place, after=_key(connection)), connection
            return
        for number in range(place.client, len(self.notification.client_ids)):
            client_id = self.notification.client_ids[number]
            after = place.after if number == place.client else None
            for connection in self.store.of_client(client_id, now_ms, after=after):
                yield replace(place, client=number, after=_key(connection)), connection


def _key(connection: Connection) -> tuple[str, int]:
    return connection.connection_id, connection.created_at


class _Tour:
    """Serves the connections of one API: the first that it meets and that is not served yet."""

    def __init__(self, delivery: Delivery, envelope: bytes, place: Place) -> None:
        self.api: Endpoint | None = None
        self.others = False
        self._delivery = delivery
        self._envelope = envelope
        self._start = self._before = self._at = place
        self._in_flight: dict[str, Connection] = {}
        self._gone: list[Connection] = []

    def run(self) -> Place | None:
        """Post to each connection; give the place of the first that was not begun, or None."""
        calls = self._calls()
        first = next(calls, None)
        if first is None or self.api is None:
            return None
        left = Management(self.api, sdk.credentials()).carry_out(
            itertools.chain([first], calls),
            self._on_reply,
            self._delivery.deadline,
            retry=backoff,
        )
        stopped = next(left, None) is not None  # it is the call that was given last
        self._remove_gone()
        return self._before if stopped else None

    def _calls(self) -> Iterator[Call]:
        delivery = self._delivery
        for place, connection in delivery.targets(self._start):
            api = endpoint_of(connection, delivery.config.management_endpoint)
            if api is None:
                delivery.outcomes[Outcome.SKIPPED] += not self._start.served
            elif api.address in self._start.served:
                continue
            elif self.api not in (None, api):
                self.others = True
            else:
                self.api = api
                self._before, self._at = self._at, place
                self._in_flight[connection.connection_id] = connection
                yield Call("POST", connection.connection_id, self._envelope)

    def _on_reply(self, call: Call, reply: Reply) -> None:
        connection = self._in_flight.pop(call.connection_id)
        outcome = outcome_of(reply.status)
        self._delivery.outcomes[outcome] += 1
        self._delivery.latencies.add(reply.seconds)
        if outcome is Outcome.FAILED:
            self._delivery.log.warning(
                "not delivered", failedId=call.connection_id, status=reply.status, error=reply.error
            )
        elif outcome is Outcome.GONE:
            self._gone.append(connection)
            if len(self._gone) >= REMOVALS_A_BATCH:
                self._remove_gone()

    def _remove_gone(self) -> None:
        """Remove the rows of those that are gone for certain: "gone" proves it past the grace."""
        delivery = self._delivery
        remove_orphans(self._gone, delivery.store, delivery.config, delivery.log)
        self._gone.clear()
