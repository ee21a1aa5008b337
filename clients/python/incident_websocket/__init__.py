"""Notifications of incident-websocket, each once and in order. See the README beside this."""

from .client import IncidentClient
from .errors import (
    AttemptError,
    ClientError,
    ConnectionEndedError,
    RefusedError,
    TokenCancelledError,
)
from .position import OwnPosition, Position, parse_position
from .protocol import Gap, Goodbye, Notification
from .supervisor import State

__all__ = [
    "AttemptError",
    "ClientError",
    "ConnectionEndedError",
    "Gap",
    "Goodbye",
    "IncidentClient",
    "Notification",
    "OwnPosition",
    "Position",
    "RefusedError",
    "State",
    "TokenCancelledError",
    "parse_position",
]
