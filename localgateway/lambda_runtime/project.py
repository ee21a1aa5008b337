"""The Chalice project that is served."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localgateway.child_processes import Child
from localgateway.errors import ProjectError
from localgateway.lambda_runtime.functions import FunctionDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INSPECTION_LIMIT = 60.0


@dataclass(frozen=True)
class Schedule:
    """A rule of `@app.schedule`: its expression, and the name of the function that it runs."""

    rule: str
    expression: str
    function: str


@dataclass(frozen=True)
class Subscription:
    """A topic, by name or ARN, and the name of the function that receives its messages."""

    topic: str
    function: str


@dataclass(frozen=True)
class Project:
    """What a stage of the project deploys; `routes` are route keys to names of functions."""

    folder: Path
    app: str
    api_stage: str
    functions: Mapping[str, FunctionDefinition]
    routes: Mapping[str, str]
    schedules: tuple[Schedule, ...]
    subscriptions: tuple[Subscription, ...]


async def inspect(folder: Path, stage: str, environ: Mapping[str, str]) -> Project:
    """Read the project; raises ProjectError, with a traceback if importing the app failed."""
    child = await Child.start(
        "inspection of the project",
        "localgateway.lambda_runtime.inspection",
        str(folder),
        stage,
        environ=environ,
    )
    try:
        description = json.loads(await child.line(_INSPECTION_LIMIT))
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
    )
