"""The environment variables of the gateway's child processes.

A function sees the variables that it would see in Lambda. The shell's settings and its
PYTHONPATH stay out, or a function could work here and fail in Lambda.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Credentials:
    """Credentials for the embedded AWS; new ones are random."""

    access_key: str = field(default_factory=lambda: f"LOCAL{secrets.token_hex(12).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)

    def variables(self) -> dict[str, str]:
        """Return the environment variables that hold them."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


def embedded(
    shell: Mapping[str, str], credentials: Credentials, region: str = REGION
) -> dict[str, str]:
    """Return the environment for a process that only uses the embedded AWS."""
    system = {name: shell[name] for name in _SYSTEM if name in shell}
    regions = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return {**system, **credentials.variables(), **regions}


def with_dynamodb(
    embedded_variables: Mapping[str, str],
    shell: Mapping[str, str],
    engine_url: str,
    endpoint: str | None,
) -> dict[str, str]:
    """Return the environment for a process that uses the tables.

    With a DynamoDB at `endpoint`, the shell's credentials apply, if it has any. All other services
    stay embedded.
    """
    variables = {**embedded_variables, "AWS_ENDPOINT_URL": engine_url}
    if endpoint is None:
        return variables
    variables["AWS_ENDPOINT_URL_DYNAMODB"] = endpoint
    if own := shell_credentials(shell):
        del variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    return variables | own


def shell_credentials(shell: Mapping[str, str]) -> dict[str, str]:
    """Return the shell's variables about credentials."""
    return {name: shell[name] for name in _CREDENTIALS if name in shell}
