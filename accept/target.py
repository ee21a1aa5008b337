"""The stage that is checked: its addresses, its functions and its settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from accept.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

APP = "incident-websocket"
# The Python names of the functions in app.py, and what Chalice calls them.
FUNCTIONS = {
    "connect": "websocket_connect",
    "disconnect": "websocket_disconnect",
    "message": "websocket_message",
    "notify": "notify",
    "unclaimed": "unclaimed",
    "connections": "connections",
    "close": "close",
    "sweep": "sweep",
}
# The functions that checks invoke, and wait for.
INVOKED = ("connections", "close", "sweep")
Kind = Literal["local", "chalice", "stack"]


@dataclass(frozen=True)
class Target:
    """One deployed stage.

    `url` is the address for WebSocket clients, `connections_api` the HTTP address of the stage.
    `functions` are deployed names by Python name; `settings` are the functions' environment
    variables. `project` is the folder with `.chalice`.
    """

    kind: Kind
    stage: str
    url: str
    connections_api: str
    functions: Mapping[str, str]
    table: str
    topic_arn: str
    project: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    api_id: str | None = None
    stack: str | None = None


def stage_config(project: Path, stage: str) -> dict[str, Any]:
    """Return the configuration of a stage, with what it inherits from the top level.

    Raise `TargetError` if the file is missing or has no such stage.
    """
    path = project / ".chalice" / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        own = config["stages"][stage]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TargetError(f"{path} has no stage {stage!r} ({error!r})") from error
    variables = config.get("environment_variables", {}) | own.get("environment_variables", {})
    return {**config, **own, "environment_variables": variables}


def longest_s(config: Mapping[str, Any]) -> int:
    """Return how many s a function that checks invoke may run at most, by a stage's config."""
    own = config.get("lambda_functions", {})
    every = config.get("lambda_timeout", 60)  # Chalice's default
    timeouts: list[int] = [
        own.get(FUNCTIONS[name], {}).get("lambda_timeout", every) for name in INVOKED
    ]
    return max(timeouts)
