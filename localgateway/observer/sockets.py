"""The sockets of the gateway, from the events of connections."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from localgateway.observer.events import Closed, Ended, HandshakeBegan, Opened, Refused

if TYPE_CHECKING:
    from localgateway.observer.events import SocketEvent

Phase = Literal["connecting", "open", "closing"]
# Ends that are remembered: rows read before an end may still have its connection.
_ENDS = 10_000


@dataclass(frozen=True, slots=True)
class Socket:
    """A connection and its phase since `since`, epoch ms; `closing` lasts until `$disconnect`."""

    handshake: HandshakeBegan
    phase: Phase
    since: int


class Sockets:
    """The connections that are not over, by id, and when the last ones ended."""

    def __init__(self) -> None:
        self.current: dict[str, Socket] = {}
        self.ended: dict[str, int] = {}
        self.changed: set[str] = set()
        self._order: deque[str] = deque()

    def apply(self, event: SocketEvent, at: int) -> None:
        """Take over what an event at `at`, epoch ms, says about a connection."""
        match event:
            case HandshakeBegan():
                self.current[event.connection_id] = Socket(event, "connecting", at)
            case Opened():
                self._move(event.connection_id, "open", at)
            case Closed():
                self._move(event.connection_id, "closing", at)
            case Refused() | Ended():
                if self.current.pop(event.connection_id, None) is not None:
                    self._remember(event.connection_id, at)
        if len(self.changed) < _ENDS:
            self.changed.add(event.connection_id)

    def _move(self, connection_id: str, phase: Phase, at: int) -> None:
        if socket := self.current.get(connection_id):
            self.current[connection_id] = dataclasses.replace(socket, phase=phase, since=at)

    def _remember(self, connection_id: str, at: int) -> None:
        self.ended[connection_id] = at
        self._order.append(connection_id)
        if len(self._order) > _ENDS:
            del self.ended[self._order.popleft()]
