"""Functions, conditions and parameters of a CloudFormation template."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localgateway.errors import ResourcesError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]+)}")
_NO_VALUE = object()


@dataclass(frozen=True)
class Values:
    """The values of a template's parameters, and its conditions."""

    parameters: Mapping[str, Any]
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, template: Mapping[str, Any], given: Mapping[str, str]) -> Values:
        """Return the given values and the template's defaults for the others."""
        declared = template.get("Parameters", {})
        defaults = {name: spec["Default"] for name, spec in declared.items() if "Default" in spec}
        return cls({**defaults, **given}, template.get("Conditions", {}))

    def resolve(self, value: Any) -> Any:
        """Return the value without functions; raise `ResourcesError` for one that is not known."""
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def holds(self, condition: str) -> bool:
        """Return whether a condition of the template holds."""
        if condition not in self.conditions:
            raise ResourcesError(f"condition {condition} is not defined; add it to Conditions")
        return self._test(self.conditions[condition])

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self._resolve(item) for item in value]
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": "AWS::NoValue"}:
                return _NO_VALUE
            case {"Ref": str(name)}:
                return self._parameter(name)
            case {"Fn::Sub": str(text)}:
                return _SUBSTITUTION.sub(self._substitute, text)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(map(str, self._resolve(parts)))
            case {"Fn::If": [str(name), then, otherwise]}:
                return self._resolve(then if self.holds(name) else otherwise)
        for name in value:
            if name.startswith("Fn::") or name == "Ref":
                raise ResourcesError(
                    f"{name} with {value[name]} is not supported; "
                    "supported: Ref, Fn::Sub, Fn::Join, Fn::If"
                )
        resolved = {name: self._resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _NO_VALUE}

    def _test(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return bool(self._resolve(left) == self._resolve(right))
            case {"Fn::Not": [negated]}:
                return not self._test(negated)
            case {"Fn::And": list(parts)}:
                return all(map(self._test, parts))
            case {"Fn::Or": list(parts)}:
                return any(map(self._test, parts))
            case {"Condition": str(name)}:
                return self.holds(name)
        raise ResourcesError(
            f"condition {condition} is not supported; "
            "supported: Fn::Equals, Fn::Not, Fn::And, Fn::Or, Condition"
        )

    def _substitute(self, found: re.Match[str]) -> str:
        literal, name = found.groups()
        return f"${{{name}}}" if literal else str(self._parameter(name))

    def _parameter(self, name: str) -> Any:
        if name not in self.parameters:
            raise ResourcesError(f"{name} has no value here; give the parameter a Default")
        return self.parameters[name]
