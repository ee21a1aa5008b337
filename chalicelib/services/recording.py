"""Records a notification in the history ahead of the posts, and places their envelopes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import ALL, Place, own_stream, placed
from chalicelib.history import ROUND_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from chalicelib.clock import Deadline
    from chalicelib.history import History

# How long an append may last, if that leaves as much time for the posts. Incidents come in bursts:
# of 1,000 publications within 5 s the last one is recorded after some 20 s.
APPEND_S = 60.0
APPENDS_AT_ONCE = 16
# So many named clients are recorded ahead of the one that is posted to.
AHEAD = 256
_POSITION = "position"
_UNRECORDED = "unrecorded"


@dataclass
class Recording:
    """The places of one notification in the streams that it belongs to.

    A notification for everybody has one place, in the stream `all`. One for named clients has a
    place in each client's own stream. `position` is the place of a delivery that continues; it is
    recorded already. `is_left` says that an invocation before this one could not record it and
    fails for that, so that Lambda repeats it.

    After the first failure nothing more is recorded, and `failure` says why: envelopes go without
    a place, which clients show at once.
    """

    history: History
    keep_seconds: int
    deadline: Deadline
    notification_id: str
    envelope: bytes
    client_ids: tuple[str, ...] | None
    position: Place | None = None
    is_left: bool = False
    recorded: int = 0
    failure: HistoryError | None = None
    _queue: deque[tuple[int, Future[Place | None]]] = field(default_factory=deque, init=False)
    _places: dict[int, Place | None] = field(default_factory=dict, init=False)
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)
    _text: str = field(init=False)

    def __post_init__(self) -> None:
        """Decode the envelope once."""
        self._text = self.envelope.decode()

    def placed(self, client: int) -> bytes:
        """Return the envelope for the named client with this number, which is 0 without names.

        Records the notification first, unless that was done. Raises `HistoryError` with the code
        `NotStarted` when too little time is left to record it for a named client.
        """
        place = self._place(client)
        return self.envelope if place is None else placed(self._text, place).encode()

    def place(self, client: int) -> Place | None:
        """Return the place for a named client, or None if the notification is not recorded for it.

        A client that an earlier invocation has served is found by its newest ids, at 1 read unit.
        Raises `HistoryError` as `placed` does.
        """
        names = self.client_ids or ()
        if client not in self._places and not (self.is_left or self.failure):
            self._places[client] = self._append(own_stream(names[client]))
        return self._places.get(client)

    def close(self) -> None:
        """Cancel the appends that have not begun, and wait for the others."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def to_json(self) -> dict[str, Any]:
        """Return what the invocation that continues has to know."""
        if self.failure or self.is_left:
            return {_UNRECORDED: True}
        if self.client_ids is not None or 0 not in self._places:
            return {}  # the newest ids of a stream find the places again
        place = self._places[0]
        return {_POSITION: [place.seq, place.prev, place.at]} if place else {}

    def _place(self, client: int) -> Place | None:
        if client not in self._places:
            self._places[client] = self._recorded(client)
        return self._places[client]

    def _recorded(self, client: int) -> Place | None:
        if self.is_left or self.failure:
            return None
        if self.client_ids is None:
            return self.position or self._append(ALL)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(APPENDS_AT_ONCE)
        following = self._queue[-1][0] + 1 if self._queue else client
        for number in range(following, min(len(self.client_ids), client + AHEAD)):
            stream = own_stream(self.client_ids[number])
            self._queue.append((number, self._pool.submit(self._append, stream)))
        while True:
            number, appended = self._queue.popleft()
            if number == client:
                return appended.result()

    def _append(self, stream: str) -> Place | None:
        if self.failure:
            return None
        until = self.deadline.within(min(APPEND_S, self.deadline.left() / 2))
        if self.client_ids is not None and not until.allows(ROUND_S):
            table = self.history.table
            raise HistoryError("TransactWriteItems", table, NOT_STARTED, "no time left")
        try:
            place, is_new = self.history.until(until).append(
                stream, self.notification_id, self._text, self.keep_seconds
            )
        except HistoryError as error:
            self.failure = error
            return None
        self.recorded += is_new
        return place


def continued(event_fields: Mapping[str, Any]) -> tuple[Place | None, bool]:
    """Return the place of a delivery that continues, and whether it was left unrecorded.

    Raises `LookupError`, `TypeError` or `ValueError` for anything but the result of `to_json`.
    """
    position = event_fields.get(_POSITION)
    is_left = event_fields.get(_UNRECORDED, False) is True
    if position is None:
        return None, is_left
    seq, prev, at = (int(number) for number in position)
    return Place(ALL, seq, prev, at), is_left
