"""SNS and Lambda's retries, as bad as they may be: late, in disorder, repeated, never given up."""

import asyncio
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tests.support.notifications import sns_event

FUNCTION = "incident-websocket-dev-notify"
LATEST_S = 5.0
REPEATED = 0.02
AT_ONCE = 8


@dataclass(frozen=True)
class Publication:
    """A notification. `client_ids` of None means everybody."""

    id: str
    client_ids: tuple[str, ...] | None

    def event(self) -> dict[str, Any]:
        """Return the event that invokes `notify`."""
        attributes = {}
        if self.client_ids is not None:
            attributes["clientId"] = ("String.Array", json.dumps(self.client_ids))
        event = sns_event(json.dumps({"id": self.id}), "storm", **attributes)
        event["Records"][0]["Sns"]["MessageId"] = self.id
        return event


@dataclass(frozen=True)
class Carried:
    """The invocation that delivered a notification, from `start` to `end`, and what it returned.

    `first` is when it was first tried. Times are epoch s.
    """

    first: float
    start: float
    end: float
    report: dict[str, Any]


@dataclass
class Publisher:
    """Publishes with a client of Lambda. `invocations` counts them, `failures` those that failed.

    With `is_orderly`, each notification is delivered once and at once.
    """

    client: Any
    random: Random
    is_orderly: bool = False
    published: list[Publication] = field(default_factory=list)
    carried: dict[str, Carried] = field(default_factory=dict)
    invocations: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        """Begin with no invocation under way."""
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._tried: dict[str, float] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def publish(self, client_ids: tuple[str, ...] | None) -> None:
        """Publish a notification; it is delivered some time later, perhaps twice."""
        identifier = str(UUID(int=self.random.getrandbits(128)))
        publication = Publication(identifier, client_ids)
        self.published.append(publication)
        is_repeated = self.random.random() < REPEATED
        for _ in range(2 if is_repeated and not self.is_orderly else 1):
            is_late = self.random.random() < 0.3 and not self.is_orderly
            late = self.random.uniform(0, LATEST_S) if is_late else 0
            delivery = asyncio.create_task(self._deliver(publication, late))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def finish(self) -> None:
        """Wait until everything has been delivered."""
        while self._deliveries:
            await asyncio.gather(*self._deliveries)
        self._threads.shutdown()

    async def _deliver(self, publication: Publication, late: float) -> None:
        """Invoke `notify` until it succeeds: Lambda retries, then the queue keeps the event."""
        await asyncio.sleep(late)
        while not await asyncio.get_running_loop().run_in_executor(
            self._threads, self._invoke, publication
        ):
            self.failures += 1
            await asyncio.sleep(self.random.uniform(0, 1))

    def _invoke(self, publication: Publication) -> bool:
        self.invocations += 1
        start = time.time()
        first = self._tried.setdefault(publication.id, start)
        with contextlib.suppress(Exception):  # a function that was killed, in any of its ways
            answer = self.client.invoke(
                FunctionName=FUNCTION, Payload=json.dumps(publication.event())
            )
            if "FunctionError" not in answer:
                report = json.loads(answer["Payload"].read())
                carried = Carried(first, start, time.time(), report)
                self.carried.setdefault(publication.id, carried)
                return True
        return False
