"""The events of a run, as the console shows them.

Times in `ms` are durations. Contents are the JSON that was passed, without credentials.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# An event's own memory in bytes, about, without its fields.
_OWN = 200


@dataclass(frozen=True, slots=True)
class Event:
    """Base of the events; `kind` names them for the page."""

    kind: ClassVar[str]

    @property
    def size(self) -> int:
        """Return the memory that it takes in bytes, about, with each text that it refers to."""
        values = _values(type(self))  # type: ignore[arg-type] # a class is hashable
        return _OWN + sum(_size(value) for value in values(self))


@dataclass(frozen=True, slots=True)
class SocketEvent(Event):
    """Base of the events that change the phase of a socket."""

    connection_id: str


@dataclass(frozen=True, slots=True)
class HandshakeBegan(SocketEvent):
    """A client asks for a connection; `source_port` is 0 if it has left."""

    kind = "handshake"
    connected_at: int
    source_ip: str
    source_port: int
    user_agent: str | None
    query: Mapping[str, str]
    subprotocols: str | None
    origin: str | None


@dataclass(frozen=True, slots=True)
class Opened(SocketEvent):
    """The handshake succeeded."""

    kind = "opened"
    subprotocol: str | None
    ms: float


@dataclass(frozen=True, slots=True)
class Refused(SocketEvent):
    """The handshake was refused."""

    kind = "refused"
    status: int
    cause: str
    ms: float


@dataclass(frozen=True, slots=True)
class Closed(SocketEvent):
    """The socket of a connection is closed."""

    kind = "closed"
    code: int
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended(SocketEvent):
    """Nothing more happens to a connection.

    Its `disconnect` was delivered, failed, dropped on purpose, or has no function (none).
    """

    kind = "ended"
    disconnect: str


@dataclass(frozen=True, slots=True)
class Started(Event):
    """An event has arrived for a function; `source` is the service that sent it."""

    kind = "started"
    invocation: int
    function: str
    source: str
    route: str | None
    connection_id: str | None
    message_id: str | None
    event: bytes


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """A function has answered, failed or timed out.

    `environment` is the id of its process, None if none started; `cold`, if it started for it.
    """

    kind = "finished"
    invocation: int
    function: str
    status: str
    ms: float
    cold: bool
    environment: int | None
    result: bytes


@dataclass(frozen=True, slots=True)
class Logged(Event):
    """A line of a function's log; `invocation` is 0 before the first."""

    kind = "logged"
    invocation: int
    function: str
    line: bytes


@dataclass(frozen=True, slots=True)
class EnvironmentChanged(Event):
    """An execution environment has `started` or `ended`."""

    kind = "environment"
    function: str
    environment: int
    change: str


@dataclass(frozen=True, slots=True)
class ConnectionsCall(Event):
    """A call of `@connections`; a `lost` post was answered with 200 and dropped on purpose."""

    kind = "call"
    connection_id: str
    method: str
    status: int
    ms: float
    text: bytes = b""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Replied(Event):
    """The gateway has sent what a function returned, or a notice of its own, to a client."""

    kind = "replied"
    connection_id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """Something outside the gateway's process: a publication, an expired row, a test client's news.

    `what` says which.
    """

    kind = "reported"
    what: str
    fields: Mapping[str, Any]


@functools.cache
def _values(kind: type[Event]) -> Callable[[Event], tuple[object, ...]]:
    return operator.attrgetter(*(field.name for field in dataclasses.fields(kind)))


def _size(value: object) -> int:
    # Each event passes here, so the usual types come first, without slow checks.
    kind = type(value)
    if kind is str or kind is bytes:
        return sys.getsizeof(value)
    if isinstance(value, dict):
        return sum(_size(name) + _size(each) for name, each in value.items())
    if isinstance(value, list):
        return sum(map(_size, value))
    return 0
