"""Queues the named clients that a notification may not have reached, to look after a while."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.domain.errors import HistoryError, QueueError
from chalicelib.domain.unclaimed import Queued, Waiting, clients_a_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from chalicelib.adapters.sqs import Queue
    from chalicelib.domain.notification import Notification
    from chalicelib.services.recording import Recording


@dataclass
class Queueing:
    """The clients of one notification that go to the queue, after its delivery.

    Those wait for `delay_s` to whom the notification is recorded: they can still fetch it. Without
    a `recording` it is in no history, and they are to be announced at once. `done` is the number of
    the first client that was not looked at yet, `sent` counts those that were queued.
    """

    notification: Notification
    envelope_bytes: int
    queue: Queue
    delay_s: int
    recording: Recording | None
    done: int = 0
    sent: int = 0
    failure: QueueError | HistoryError | None = field(default=None, init=False)

    def run(self, reached: Set[int]) -> bool:
        """Queue clients. Return False if the time is out; `done` is where to go on then.

        After the first failure nothing more is queued, and `failure` says why.
        """
        try:
            for clients, done in self._batches(reached):
                self._send(clients)
                self.done = done
        except (QueueError, HistoryError) as error:
            if error.code == NOT_STARTED:
                return False
            self.failure = error
        return True

    def _batches(self, reached: Set[int]) -> Iterator[tuple[list[Waiting], int]]:
        """Yield the clients of each message, and the number of the client that follows them."""
        size = clients_a_message(self.envelope_bytes)
        waiting: list[Waiting] = []
        client_ids = self.notification.client_ids or ()
        for number in range(self.done, len(client_ids)):
            waiting += self._waiting(number, client_ids[number], is_posted=number in reached)
            if len(waiting) == size:
                yield waiting, number + 1
                waiting = []
        yield waiting, len(client_ids)

    def _waiting(self, number: int, client_id: str, *, is_posted: bool) -> list[Waiting]:
        if is_posted and not self.notification.receipt:
            return []
        if self.recording is None:
            return [Waiting(client_id, None, is_posted)]
        place = self.recording.place(number)
        return [Waiting(client_id, place.seq, is_posted)] if place else []

    def _send(self, clients: list[Waiting]) -> None:
        if not clients:
            return
        about = self.notification
        queued = Queued(
            *(about.id, about.sent_at, about.subject, about.message, about.receipt),
            tuple(clients),
        )
        self.queue.send(queued.to_text(), 0 if self.recording is None else self.delay_s)
        self.sent += len(clients)
