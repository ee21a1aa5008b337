"""Starts the embedded AWS and creates what the project needs in it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from localgateway.child_processes import Child
from localgateway.errors import AddressError, ResourcesError
from localgateway.process_environment import shell_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from localgateway.lambda_runtime.project import Project
    from localgateway.options import Options

# In seconds, for each child process.
_TIMEOUT = 60.0


# Its own, unless another process listens there.
PORT = 8766


async def start(
    options: Options,
    lambda_endpoint: str,
    variables: Mapping[str, str],
    shell: Mapping[str, str],
) -> Child:
    """Start the embedded AWS with `variables`; it delivers messages of topics to the Invoke API."""
    ports = (PORT, 0) if options.dynamodb_port is None else (options.dynamodb_port,)
    return await Child.start(
        "embedded AWS",
        "localgateway.aws.engine",
        *(f"--port={port}" for port in ports),
        *(f"--allow-host={name}" for name in (options.host, *options.allow_host)),
        f"--fail={options.dynamodb_fail}",
        f"--lag={options.dynamodb_lag_ms}",
        f"--repeat={options.repeat_messages}",
        f"--shuffle={options.shuffle_messages}",
        f"--ttl-interval={options.ttl_interval}",
        f"--lambda-endpoint={lambda_endpoint}",
        environ={**variables, "ACCESS_KEYS": access_keys(options, variables, shell)},
    )


def access_keys(options: Options, variables: Mapping[str, str], shell: Mapping[str, str]) -> str:
    """Return the access keys that the embedded AWS accepts, with commas; `*` accepts any.

    Functions that use another DynamoDB sign with the shell's credentials, for all services. The
    key of a profile is not known here.
    """
    own = shell_credentials(shell) if options.dynamodb_endpoint else {}
    if own and "AWS_ACCESS_KEY_ID" not in own:
        return "*"
    keys = (variables["AWS_ACCESS_KEY_ID"], own.get("AWS_ACCESS_KEY_ID"))
    return ",".join(key for key in keys if key)


async def url(engine: Child) -> str:
    """Return the URL of the embedded AWS once it listens.

    Raise `AddressError` if its port is unavailable.
    """
    said = json.loads(await engine.line(_TIMEOUT))
    if "error" in said:
        cause = OSError(*said["error"])
        raise AddressError("127.0.0.1", said["port"], cause, "--dynamodb-port")
    return f"http://127.0.0.1:{said['port']}"


async def create_resources(options: Options, variables: Mapping[str, str]) -> list[str]:
    """Create what `.chalice/resources.json` defines and is missing; return the names of its tables.

    A project without that file has none. Raise `ResourcesError` if the file is invalid or if AWS
    refuses a definition.
    """
    path = options.project / ".chalice" / "resources.json"
    if not path.exists():
        return []
    child = await Child.start(
        "creation of the resources",
        "localgateway.resources.creation",
        str(path),
        options.stage,
        environ=variables,
    )
    try:
        answer = json.loads(await child.line(_TIMEOUT))
    finally:
        await child.stop()
    if "error" in answer:
        raise ResourcesError(answer["error"])
    tables: list[str] = answer["tables"]
    return tables


async def connect_functions(
    engine: Child, project: Project, stage: str, variables: Mapping[str, str]
) -> list[str]:
    """Create the project's topics, queues and rules, and return the topics' ARNs.

    Its functions then receive their messages and events.
    """
    template = project.folder / ".chalice" / "resources.json"
    sources = (project.subscriptions, project.queues, project.rules)
    if not any(sources) and not _has_sources(template):
        engine.write(json.dumps({"mappings": []}))
        return []
    wanted = {
        "stage": stage,
        "template": str(template) if template.exists() else None,
        "functions": {each.logical_id: name for name, each in project.functions.items()},
        **dict(zip(("subscriptions", "queues", "rules"), map(_plain, sources), strict=True)),
    }
    child = await Child.start(
        "creation of topics, queues and rules",
        "localgateway.aws.event_sources",
        json.dumps(wanted),
        environ=variables,
    )
    try:
        created = json.loads(await child.line(_TIMEOUT))
    finally:
        await child.stop()
    engine.write(json.dumps({"mappings": created["mappings"]}))
    topics: list[str] = created["topics"]
    return topics


def _has_sources(template: Path) -> bool:
    text = template.read_text() if template.exists() else ""
    return "AWS::SQS::Queue" in text or "AWS::Events::Rule" in text


def _plain(sources: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(source) for source in sources]
