"""The options of a gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from localgateway.api_gateway.quotas import CONNECTION_DURATION, IDLE_TIMEOUT
from localgateway.process_environment import REGION

if TYPE_CHECKING:
    from pathlib import Path

RouteResponses = Literal["template", "all", "none"]
LogFormat = Literal["json", "pretty"]


@dataclass(frozen=True)
class Options:
    """The options of the command line; times are in seconds unless the name ends with `_ms`.

    Port 0 picks a free port; `dynamodb_port` None prefers a fixed one. `dynamodb_fail`, `drop_…`
    and `repeat_messages` are shares from 0 to 1. `schedule_every` replaces the rate of every
    schedule, `connect_rate` is in handshakes a second.
    """

    project: Path
    stage: str = "dev"
    host: str = "127.0.0.1"
    port: int = 8765
    allow_host: tuple[str, ...] = ()
    region: str = REGION
    reload: bool = True
    log: LogFormat = "json"
    environments: int = 2
    max_connections: int = 5000
    connect_rate: float | None = None
    route_responses: RouteResponses = "template"
    idle_timeout: float = IDLE_TIMEOUT
    max_duration: float = CONNECTION_DURATION
    schedule_every: float | None = None
    drop_disconnects: float = 0.0
    drop_posts: float = 0.0
    repeat_messages: float = 0.0
    shuffle_messages: float = 0.0
    dynamodb_endpoint: str | None = None
    dynamodb_port: int | None = None
    dynamodb_fail: float = 0.0
    dynamodb_lag_ms: int = 0
    ttl_interval: float = 60.0
