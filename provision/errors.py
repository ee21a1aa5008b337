"""What can be wrong with a table definition, the table that is there, or a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class ProvisionError(Exception):
    """The base of every error that this package raises."""


class TemplateError(ProvisionError):
    """A resources file that defines something outside the understood part of CloudFormation."""


class ParameterError(TemplateError):
    """A template parameter without a value, or with one that the template does not allow."""

    def __init__(self, name: str, value: str | None, accepted: Iterable[str]) -> None:
        self.name = name
        self.value = value
        self.accepted = tuple(accepted)

    def __str__(self) -> str:
        seen = "has no value" if self.value is None else f"is {self.value!r}"
        return f"parameter {self.name} {seen}; accepted: {', '.join(self.accepted) or 'any string'}"


class UnsupportedError(TemplateError):
    """A function or property of the template that would be lost without a word."""

    def __init__(self, kind: str, name: str, supported: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.supported = tuple(supported)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is not supported; supported: {', '.join(self.supported)}"


class TableMismatchError(ProvisionError):
    """A table that exists under the name but is not the one defined."""

    def __init__(self, table: str, what: str, found: object, defined: object) -> None:
        self.table = table
        self.what = what
        self.found = found
        self.defined = defined

    def __str__(self) -> str:
        return (
            f"table {self.table} exists with {self.what} {self.found}, "
            f"but the resources file defines {self.defined}"
        )


class NotDeployedError(ProvisionError):
    """A stage of which Chalice has recorded no WebSocket API."""

    def __init__(self, deployed: Path) -> None:
        self.deployed = deployed

    def __str__(self) -> str:
        return f"{self.deployed} names no WebSocket API; run `chalice deploy` for this stage first"
