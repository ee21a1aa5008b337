"""Starts the embedded AWS and creates the project's resources and subscriptions in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localgateway.child_processes import Child
from localgateway.errors import ResourcesError
from localgateway.process_environment import shell_credentials

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from localgateway.lambda_runtime.project import Subscription
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
        *(f"--allow-host={name}" for name in options.allow_host),
        f"--fail={options.dynamodb_fail}",
        f"--lag={options.dynamodb_lag_ms}",
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
    """Return the URL of the embedded AWS once it listens."""
    port = json.loads(await engine.line(_TIMEOUT))["port"]
    return f"http://127.0.0.1:{port}"


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


async def subscribe(
    subscriptions: Collection[Subscription], variables: Mapping[str, str]
) -> list[str]:
    """Create the topics, subscribe their functions and return the topics' ARNs."""
    if not subscriptions:
        return []
    child = await Child.start(
        "subscription to the topics",
        "localgateway.aws.sns_subscriptions",
        *(text for each in subscriptions for text in (each.topic, each.function)),
        environ=variables,
    )
    try:
        arns: list[str] = json.loads(await child.line(_TIMEOUT))
    finally:
        await child.stop()
    return arns
