"""The observer: every part of the gateway records events here, and the console reads them."""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from localgateway.observer.events import Logged, SocketEvent, Started
from localgateway.observer.masking import is_suspicious, masked_event, masked_text
from localgateway.observer.metrics import Metrics
from localgateway.observer.sockets import Sockets

if TYPE_CHECKING:
    from localgateway.observer.events import Event

# The oldest events go when there are more, or when all take more memory in bytes.
ENTRIES = 10_000
MEMORY = 16 * 1024 * 1024
# In bytes, of one content; API Gateway's largest message is smaller.
CONTENT = 256 * 1024
_SOURCES = {"aws:sns": "sns", "aws:sqs": "sqs", "aws:dynamodb": "dynamodb"}


class Entry(NamedTuple):
    """A recorded event; `seq` counts from 1, `at` is epoch ms."""

    seq: int
    at: int
    event: Event


class Observer:
    """Keeps the last events, and what they say about sockets and metrics."""

    def __init__(self, entries: int = ENTRIES, memory: int = MEMORY) -> None:
        self.sockets = Sockets()
        self.metrics = Metrics()
        self._limits = entries, memory
        self._kept: deque[Entry] = deque()
        self._sizes: deque[int] = deque()
        self._memory = 0
        self._numbers = itertools.count(1)
        self.last = 0

    def record(self, event: Event) -> None:
        """Keep an event, and drop the oldest if there are too many."""
        self.last += 1
        at = int(time.time() * 1000)
        self._kept.append(Entry(self.last, at, event))
        self._sizes.append(event.size)
        self._memory += self._sizes[-1]
        entries, memory = self._limits
        while len(self._kept) > entries or self._memory > memory:
            self._kept.popleft()
            self._memory -= self._sizes.popleft()
        if isinstance(event, SocketEvent):
            self.sockets.apply(event, at)

    def started(self, function: str, event: Any, encoded: bytes) -> int:
        """Record that an event, and its JSON, has arrived for a function; return its number."""
        number = next(self._numbers)
        source, route, connection_id, message_id = origin(event)
        if source == "websocket" and "headers" in event and is_suspicious(encoded):
            encoded = json.dumps(masked_event(event)).encode()
        shown = content(encoded)
        self.record(Started(number, function, source, route, connection_id, message_id, shown))
        return number

    def logged(self, function: str, invocation: int, line: bytes) -> None:
        """Record a line of a function's log, and the metrics in it."""
        self.record(Logged(invocation, function, content(line)))
        if b'"_aws"' in line:
            self.metrics.add(line, self._kept[-1].at / 1000)

    def after(self, seq: int, limit: int) -> list[Entry]:
        """Return the first entries after a number, at most `limit`."""
        missing = max(0, min(self.last - seq, len(self._kept)))
        start = len(self._kept) - missing
        return list(itertools.islice(self._kept, start, start + limit))

    def entry(self, seq: int) -> Entry | None:
        """Return one entry, or None if it is not kept any more."""
        found = self.after(seq - 1, 1)
        return found[0] if found and found[0].seq == seq else None

    def of_invocation(self, number: int) -> list[Entry]:
        """Return the entries of an invocation."""
        return [each for each in self._kept if getattr(each.event, "invocation", None) == number]


def content(text: bytes) -> bytes:
    """Return a content as the observer keeps it: without credentials, and not too long."""
    return masked_text(text if len(text) <= CONTENT else text[:CONTENT])


def content_text(text: str) -> str:
    """Return a text as the observer keeps it; half a character at its end is replaced."""
    return content(text.encode(errors="replace")).decode(errors="replace")


def origin(event: Any) -> tuple[str, str | None, str | None, str | None]:
    """Return the service that sent an event, its route, connection id and SNS message id."""
    if not isinstance(event, dict):
        return "invoke", None, None, None
    context = event.get("requestContext")
    if isinstance(context, dict) and "connectionId" in context:
        return "websocket", context.get("routeKey"), context["connectionId"], None
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        first = records[0]
        name, sns = first.get("EventSource") or first.get("eventSource"), first.get("Sns")
        source = _SOURCES.get(name, "invoke") if isinstance(name, str) else "invoke"
        return source, None, None, sns.get("MessageId") if isinstance(sns, dict) else None
    if "detail-type" in event:
        scheduled = event.get("source") == "aws.events"
        return "schedule" if scheduled else "events", None, None, None
    return "invoke", None, None, None
