"""What keeps the gateway from starting or running."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class GatewayError(Exception):
    """The base of every error that ends the gateway with a message instead of a traceback."""


class AddressError(GatewayError):
    """The address to listen on cannot be had."""

    def __init__(self, host: str, port: int, cause: OSError) -> None:
        self.host = host
        self.port = port
        self.cause = cause

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host} port {self.port}: {self.cause.strerror or self.cause}; "
            "give an address of this machine and a port that is free (0 picks one)"
        )


class ProjectError(GatewayError):
    """The project folder does not hold a Chalice app that the gateway can serve."""

    def __init__(self, project: Path, cause: str) -> None:
        self.project = project
        self.cause = cause

    def __str__(self) -> str:
        return f"cannot serve {self.project}: {self.cause}"


class ChildError(GatewayError):
    """A process of the gateway did not start, did not answer in time, or ended on its own."""

    def __init__(self, name: str, cause: str) -> None:
        self.name = name
        self.cause = cause

    def __str__(self) -> str:
        return f"the {self.name} {self.cause}"
