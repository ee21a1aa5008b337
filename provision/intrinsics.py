"""Resolve the functions, conditions and parameters of a CloudFormation template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import ParameterError, TemplateError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FUNCTIONS = ("Ref", "Fn::Sub", "Fn::If")
_CONDITIONS = ("Fn::Equals", "Fn::Not")
_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]+)}")
_NO_VALUE = object()


@dataclass(frozen=True)
class Values:
    """The values of a template's parameters, and its conditions."""

    parameters: Mapping[str, str]
    conditions: Mapping[str, Any]

    @classmethod
    def of(cls, template: Mapping[str, Any], given: Mapping[str, str]) -> Values:
        """Return the given values and the template's defaults for the others.

        Raise `ParameterError` if a parameter has no value or one that the template does not allow.
        """
        declared = template.get("Parameters", {})
        defaults = {name: spec["Default"] for name, spec in declared.items() if "Default" in spec}
        values = {**defaults, **given}
        for name, spec in declared.items():
            allowed = spec.get("AllowedValues", ())
            if name not in values or (allowed and values[name] not in allowed):
                raise ParameterError(name, values.get(name), allowed)
        return cls(values, template.get("Conditions", {}))

    def resolve(self, value: Any) -> Any:
        """Return the value without functions. Raise `TemplateError` for one that is not known."""
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

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
            case {"Fn::If": [str(name), then, otherwise]}:
                return self._resolve(then if self._holds(name) else otherwise)
        for name in value:
            if name.startswith("Fn::") or name == "Ref":
                raise UnsupportedError("function", f"{name} with {value[name]}", _FUNCTIONS)
        resolved = {name: self._resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _NO_VALUE}

    def _holds(self, name: str) -> bool:
        if name not in self.conditions:
            raise TemplateError(f"condition {name} is not defined; add it to Conditions")
        return self._test(self.conditions[name])

    def _test(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return bool(self._resolve(left) == self._resolve(right))
            case {"Fn::Not": [negated]}:
                return not self._test(negated)
        raise UnsupportedError("condition", str(condition), _CONDITIONS)

    def _substitute(self, found: re.Match[str]) -> str:
        literal, name = found.groups()
        return f"${{{name}}}" if literal else self._parameter(name)

    def _parameter(self, name: str) -> str:
        if name not in self.parameters:
            raise ParameterError(name, None, ())
        return self.parameters[name]
