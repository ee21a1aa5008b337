"""Connections of a certain age."""

import math
import time
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.domain.connection import Connection

NO_DEADLINE = Deadline(math.inf)


def now_ms() -> int:
    """Return the present time in epoch ms."""
    return time.time_ns() // 1_000_000


def tracked(connection_id: str, age_s: float = 300.0, **attributes: Any) -> Connection:
    """Return a connection that was opened `age_s` seconds ago."""
    created_at = now_ms() - round(age_s * 1000)
    known = {"api_id": "local", "region": "eu-west-1", "stage": "dev", **attributes}
    return Connection(connection_id, created_at, created_at // 1000 + 86_400, **known)
