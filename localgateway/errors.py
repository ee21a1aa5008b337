"""Errors that end the gateway with a message instead of a traceback."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class GatewayError(Exception):
    """Base of the errors that end the gateway with a message."""


class AddressError(GatewayError):
    """The address to listen on, which an option of the command line chooses, is unavailable."""

    def __init__(self, host: str, port: int, cause: OSError, option: str = "--port") -> None:
        self.host = host
        self.port = port
        self.cause = cause
        self.option = option

    def __str__(self) -> str:
        if self.cause.errno == errno.EADDRINUSE:
            return (
                f"port {self.port} is already in use; "
                f"choose another with {self.option} (0 picks a free one)"
            )
        cause = str(self.cause.strerror or self.cause).partition(" (while")[0]
        return (
            f"cannot listen on {self.host}, port {self.port}: {cause}; "
            f"choose another address with --host or {self.option}"
        )


class ProjectError(GatewayError):
    """The folder does not contain a Chalice app that the gateway can serve."""

    def __init__(self, project: Path, cause: str) -> None:
        self.project = project
        self.cause = cause

    def __str__(self) -> str:
        return f"cannot serve {self.project}: {self.cause}"


class ResourcesError(GatewayError):
    """The resources file is invalid, or AWS refused what it defines."""


class ChildError(GatewayError):
    """A child process did not start, did not respond in time, or exited unexpectedly."""

    def __init__(self, name: str, cause: str) -> None:
        self.name = name
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.name} {self.cause}"


class RunError(GatewayError):
    """No running gateway can be told from its run file, or the file cannot be kept."""
