"""The errors of this package, each with the data that it is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class ProvisionError(Exception):
    """The base class of every error that this package raises."""


class TemplateError(ProvisionError):
    """A resources file that is not a JSON template or that this package cannot read in full."""


class ParameterError(TemplateError):
    """A template parameter without a value, or with a value that the template does not allow."""

    def __init__(self, name: str, value: str | None, allowed: Iterable[str]) -> None:
        self.name = name
        self.value = value
        self.allowed = tuple(allowed)

    def __str__(self) -> str:
        seen = "has no value" if self.value is None else f"is {self.value!r}"
        expected = " or ".join(map(str, self.allowed)) or "a string"
        return f"parameter {self.name} {seen}; expected {expected}"


class UnsupportedError(TemplateError):
    """A template function or property that this package would otherwise silently ignore."""

    def __init__(self, kind: str, name: str, supported: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.supported = tuple(supported)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is not supported; supported: {', '.join(self.supported)}"


class MissingPropertyError(TemplateError):
    """A resource without a property that it needs."""

    def __init__(self, resource: str, name: str) -> None:
        self.resource = resource
        self.name = name

    def __str__(self) -> str:
        return f"{self.resource} has no {self.name}; add it to the resources file"


class TableMismatchError(ProvisionError):
    """An existing table whose keys, indexes or time to live differ from its definition."""

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
    """A stage for which Chalice has recorded no WebSocket API."""

    def __init__(self, deployed: Path) -> None:
        self.deployed = deployed

    def __str__(self) -> str:
        return f"no WebSocket API in {self.deployed}; run `chalice deploy` for this stage first"


class MissingRightsError(ProvisionError):
    """A setting in config.json whose rights a function's policy file does not grant."""

    def __init__(self, setting: str, policy: str, statement: str) -> None:
        self.setting = setting
        self.policy = policy
        self.statement = statement

    def __str__(self) -> str:
        return (
            f"config.json sets {self.setting}, but {self.policy} does not grant what it needs; "
            f"add this statement to it: {self.statement}"
        )


class QueueMessageError(ProvisionError):
    """A message in the failure queue from which no event for `notify` can be made."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id

    def __str__(self) -> str:
        return (
            f"message {self.message_id} is not a notification; "
            "expected Lambda's record of a failed invocation or a notification of SNS"
        )


class FunctionAnswerError(ProvisionError):
    """A Lambda function that was invoked answered with an error."""

    def __init__(self, function: str, answer: object) -> None:
        self.function = function
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.function} answered {json.dumps(self.answer)}; expected the connections"


class NotDeletedError(ProvisionError):
    """Items of a table that DynamoDB did not delete, though it was asked several times."""

    def __init__(self, table: str, left: int, wanted: int) -> None:
        self.table = table
        self.left = left
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"{self.left} of {self.wanted} items are left in {self.table}: DynamoDB processes no "
            "more of them now; run this again later to delete the rest"
        )
