"""What a stage should be: the project's resources file and policies, for one account and stage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from accept.errors import UndecidedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from accept.target import Target


def resources(target: Target, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of every resource of a type in the resources file, by logical id."""
    found = {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in _template(target)["Resources"].items()
        if resource.get("Type") == kind
    }
    return {logical_id: _for_stage(value, target.stage) for logical_id, value in found.items()}


def of_stage(target: Target, name: str) -> Any:
    """Return a value of the stage from the template's mapping `Stages`."""
    return _template(target)["Mappings"]["Stages"][target.stage][name]


def redrives(target: Target) -> bool:
    """Return whether the subscription of `notify` keeps what Lambda did not take."""
    events = _template(target)["Resources"]["Notify"]["Properties"].get("Events", {})
    return any("RedrivePolicy" in event.get("Properties", {}) for event in events.values())


def allowed(target: Target, function: str, account: Account) -> set[tuple[str, str]]:
    """Return the actions and resources that a function's policy file allows, each as a pair.

    Wildcards are replaced: partition, region and account by those of the account, the API by the
    stage's, and the rest of a name by `x`.
    """
    path = target.project / ".chalice" / "policies" / f"{target.stage}-{function}.json"
    return {
        (action, account.concrete(resource))
        for statement in _read(path)["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for resource in _list(statement["Resource"])
    }


class Account:
    """The partition, region and account of a function's ARN, and the id of the stage's API."""

    def __init__(self, arn: str, api_id: str | None) -> None:
        _, self.partition, _, self.region, self.id, *_ = arn.split(":")
        self._api_id = api_id or "*"

    def concrete(self, resource: str) -> str:
        """Return an ARN pattern of a policy file as an ARN of this account."""
        _, _, service, _, _, name = resource.split(":", 5)
        if service == "execute-api":
            name = name.replace("*/", f"{self._api_id}/", 1)
        name = f"{name[:-1]}x" if name.endswith("*") else name
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{name}"


def _template(target: Target) -> dict[str, Any]:
    return _read(target.project / ".chalice" / "resources.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UndecidedError(f"{path} cannot be read: {error}") from error
    return content


def _for_stage(value: Any, stage: str) -> Any:
    if isinstance(value, dict):
        if set(value) == {"Fn::Sub"} and isinstance(value["Fn::Sub"], str):
            return value["Fn::Sub"].replace("${Stage}", stage)
        return {name: _for_stage(each, stage) for name, each in value.items()}
    return [_for_stage(each, stage) for each in value] if isinstance(value, list) else value


def _list(value: str | list[str]) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value
