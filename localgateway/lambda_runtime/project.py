"""The Chalice project to serve: its functions, routes and event sources."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localgateway.child_processes import Child
from localgateway.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INSPECTION_TIMEOUT = 60.0


@dataclass(frozen=True)
class FunctionDefinition:
    """A Lambda function as Chalice would deploy it; `timeout` is in seconds.

    `logical_id` is the one in the template that `chalice package` writes.
    """

    name: str
    handler: str
    timeout: int
    memory_mb: int
    variables: Mapping[str, str] = field(default_factory=dict)
    logical_id: str = ""


@dataclass(frozen=True)
class Schedule:
    """A rule of `@app.schedule`: its expression and the name of its function."""

    rule: str
    expression: str
    function: str


@dataclass(frozen=True)
class Subscription:
    """A topic, by name or ARN, and the name of the function that receives its messages."""

    topic: str
    function: str


@dataclass(frozen=True)
class Queue:
    """A queue, by name or ARN, and the name of the function that receives its messages."""

    queue: str
    function: str
    batch_size: int


@dataclass(frozen=True)
class EventRule:
    """A rule of `@app.on_cw_event`: its pattern as JSON and the name of its function."""

    rule: str
    pattern: str
    function: str


@dataclass(frozen=True)
class Project:
    """The resources of one stage; `routes` maps route keys to names of functions."""

    folder: Path
    app: str
    api_stage: str
    functions: Mapping[str, FunctionDefinition]
    routes: Mapping[str, str]
    schedules: tuple[Schedule, ...]
    subscriptions: tuple[Subscription, ...]
    queues: tuple[Queue, ...] = ()
    rules: tuple[EventRule, ...] = ()


async def inspect(folder: Path, stage: str, environ: Mapping[str, str]) -> Project:
    """Return the project in a folder; raise `ProjectError` if it cannot be served."""
    return await inspect_with(await inspector(stage, environ), folder)


async def inspector(stage: str, environ: Mapping[str, str]) -> Child:
    """Start a process that inspects one folder, for `inspect_with`."""
    return await Child.start(
        "inspection of the project",
        "localgateway.lambda_runtime.inspection",
        stage,
        environ=environ,
    )


async def inspect_with(child: Child, folder: Path) -> Project:
    """Return the project in a folder; raise `ProjectError` if it cannot be served."""
    try:
        child.write(str(folder))
        description = json.loads(await child.line(_INSPECTION_TIMEOUT))
    finally:
        await child.stop()
    if "error" in description:
        raise ProjectError(folder, description["error"])
    return Project(
        folder=folder,
        app=description["app"],
        api_stage=description["api_stage"],
        functions={each["name"]: FunctionDefinition(**each) for each in description["functions"]},
        routes=description["routes"],
        schedules=tuple(Schedule(**each) for each in description["schedules"]),
        subscriptions=tuple(Subscription(**each) for each in description["subscriptions"]),
        queues=tuple(Queue(**each) for each in description["queues"]),
        rules=tuple(EventRule(**each) for each in description["rules"]),
    )
