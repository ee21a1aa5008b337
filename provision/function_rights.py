"""Check that the policy files grant what VPC and X-Ray settings need.

Chalice adds these rights to the policies that it generates, not to policy files. Without them,
creating a function in a VPC fails, and traces are silently lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from chalice.constants import VPC_ATTACH_POLICY, XRAY_POLICY

from provision.errors import MissingRightsError, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

_NEEDS: Mapping[str, Mapping[str, Any]] = {
    "subnet_ids": VPC_ATTACH_POLICY,
    "security_group_ids": VPC_ATTACH_POLICY,
    "xray": XRAY_POLICY,
}


def check(config: Path, stage: str) -> None:
    """Raise `MissingRightsError` if a setting of the stage needs rights that a policy lacks."""

    def read(content: Any) -> list[tuple[str, Path]]:
        return [(name, config.parent / policy) for name, policy in _settings(content, stage)]

    for setting, policy in _understood(config, read):
        needed = _NEEDS[setting]
        if not set(needed["Action"]) <= _understood(policy, _actions):
            raise MissingRightsError(setting, str(policy), json.dumps(needed))


def _understood(path: Path, read: Callable[[Any], T]) -> T:
    """Return what `read` finds in the JSON file. Raise `TemplateError` if it is of another form."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise TemplateError(f"cannot read {path} as JSON: {error}") from error
    try:
        return read(content)
    except (AttributeError, LookupError, TypeError) as error:
        raise TemplateError(f"cannot use {path}: a value has another form: {error}") from error


def _settings(config: Mapping[str, Any], stage: str) -> Iterator[tuple[str, str]]:
    """Return each setting that needs rights with the policy file of a function that has it."""
    of_stage = config.get("stages", {}).get(stage, {})
    for function in of_stage.get("lambda_functions", {}).values():
        layers = (function, of_stage, config)
        for setting in _NEEDS:
            value = next((layer[setting] for layer in layers if setting in layer), None)
            if value and "iam_policy_file" in function:
                yield setting, function["iam_policy_file"]


def _actions(policy: Mapping[str, Any]) -> set[str]:
    return {
        action
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow" and statement["Resource"] in ("*", ["*"])
        for action in statement["Action"]
    }
