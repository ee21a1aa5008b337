"""The environment variables of the gateway's child processes.

A function sees the variables that it would see in Lambda. The shell's settings and its
PYTHONPATH stay out, or a function could work here and fail in Lambda.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
DUMMY_KEY = "local"
_SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_DUMMY = {"AWS_ACCESS_KEY_ID": DUMMY_KEY, "AWS_SECRET_ACCESS_KEY": DUMMY_KEY}


def embedded(shell: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that only uses the embedded AWS."""
    system = {name: shell[name] for name in _SYSTEM if name in shell}
    return {**system, **_DUMMY, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def with_dynamodb(
    shell: Mapping[str, str], engine_url: str, endpoint: str | None
) -> dict[str, str]:
    """Return the environment for a process that uses the tables.

    With a DynamoDB at `endpoint`, the shell's credentials and region apply, if it has any. All
    other services stay embedded.
    """
    variables = {**embedded(shell), "AWS_ENDPOINT_URL": engine_url}
    if endpoint is None:
        return variables
    region = shell.get("AWS_REGION") or shell.get("AWS_DEFAULT_REGION") or REGION
    own = {name: shell[name] for name in _CREDENTIALS if name in shell}
    if own:
        variables = {name: value for name, value in variables.items() if name not in _DUMMY} | own
    return {
        **variables,
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
