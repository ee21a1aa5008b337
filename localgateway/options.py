"""How a gateway is to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The command line's options; times are in seconds unless the name says ms.

    A port of 0 picks a free one. `dynamodb_fail` and `drop_disconnects` are shares between 0
    and 1. `schedule_every` replaces the rate of every schedule.
    """

    project: Path
    stage: str = "dev"
    host: str = "127.0.0.1"
    port: int = 8765
    environments: int = 2
    max_connections: int = 5000
    idle_timeout: float = 600.0
    max_duration: float = 7200.0
    schedule_every: float | None = None
    drop_disconnects: float = 0.0
    dynamodb_endpoint: str | None = None
    dynamodb_port: int = 0
    dynamodb_fail: float = 0.0
    dynamodb_lag_ms: int = 0
    ttl_interval: float = 60.0
