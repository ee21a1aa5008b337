"""SNS and Lambda's retries, as bad as they may be: late, in disorder, repeated, never given up."""

import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tests.support.gateway import Gateway
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


@dataclass
class Publisher:
    """Publishes to a gateway. `invocations` counts them, `failures` those that failed."""

    gateway: Gateway
    random: Random
    published: list[Publication] = field(default_factory=list)
    invocations: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        """Begin with no invocation under way."""
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._client = self.gateway.client("lambda", self.gateway.lambda_endpoint)
        self._deliveries: set[asyncio.Task[None]] = set()

    def publish(self, client_ids: tuple[str, ...] | None) -> None:
        """Publish a notification; it is delivered some time later, perhaps twice."""
        identifier = str(UUID(int=self.random.getrandbits(128)))
        publication = Publication(identifier, client_ids)
        self.published.append(publication)
        for _ in range(2 if self.random.random() < REPEATED else 1):
            late = self.random.uniform(0, LATEST_S) if self.random.random() < 0.3 else 0
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
            self._threads, self._invoke, publication.event()
        ):
            self.failures += 1
            await asyncio.sleep(self.random.uniform(0, 1))

    def _invoke(self, event: dict[str, Any]) -> bool:
        self.invocations += 1
        with contextlib.suppress(Exception):  # a function that was killed, in any of its ways
            answer = self._client.invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
            return "FunctionError" not in answer
        return False
