"""The environment variables that the gateway's processes start with.

A function finds what it would find in Lambda, so nothing of the shell's that could make it work
here and fail there: no setting of the project, no PYTHONPATH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
_SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_DUMMY = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def embedded(shell: Mapping[str, str]) -> dict[str, str]:
    """Give what a process needs that talks to the embedded AWS only."""
    system = {name: shell[name] for name in _SYSTEM if name in shell}
    return {**system, **_DUMMY, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def with_dynamodb(
    shell: Mapping[str, str], engine_url: str, endpoint: str | None
) -> dict[str, str]:
    """Give what a process needs that talks to the tables.

    With another DynamoDB at `endpoint`, the shell's own credentials and region count, if it has
    any; every other service stays the embedded one.
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
