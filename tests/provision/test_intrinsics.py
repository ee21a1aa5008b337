"""The functions and conditions of templates."""

from __future__ import annotations

from typing import Any

import pytest

from provision.errors import ParameterError, TemplateError
from provision.intrinsics import Values

NO_VALUE = {"Ref": "AWS::NoValue"}
IS_PROD = {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
CONDITIONS = {"IsProd": IS_PROD, "IsNotProd": {"Fn::Not": [IS_PROD]}}


def values(**parameters: str) -> Values:
    """Return the values of a template with two conditions on its stage."""
    declared = {"Stage": {"AllowedValues": ["dev", "prod"]}, "Owner": {"Default": "us"}}
    return Values.of({"Parameters": declared, "Conditions": CONDITIONS}, parameters)


@pytest.mark.parametrize(
    ("value", "dev", "prod"),
    [
        ({"Fn::If": ["IsProd", 1, 2]}, 2, 1),
        ({"Fn::If": ["IsNotProd", 1, 2]}, 1, 2),
        ([0, {"Fn::If": ["IsProd", {"a": {"Ref": "Owner"}}, NO_VALUE]}], [0], [0, {"a": "us"}]),
        ({"a": 1, "b": {"Fn::If": ["IsProd", 2, NO_VALUE]}}, {"a": 1}, {"a": 1, "b": 2}),
        (NO_VALUE, None, None),
    ],
)
def test_a_condition_chooses_a_value_or_none(value: Any, dev: Any, prod: Any) -> None:
    """AWS::NoValue removes the item or the property."""
    assert values(Stage="dev").resolve(value) == dev
    assert values(Stage="prod").resolve(value) == prod


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({}, "condition It is not defined; add it to Conditions"),
        (
            {"It": {"Fn::Or": []}},
            "condition {'Fn::Or': []} is not supported; supported: Fn::Equals",
        ),
        ({"It": {"Fn::Equals": [{"Ref": "X"}, ""]}}, "parameter X has no value; expected a string"),
    ],
)
def test_a_condition_that_cannot_be_decided_is_refused(
    condition: dict[str, Any], message: str
) -> None:
    """No value is chosen by guessing."""
    with pytest.raises(TemplateError) as refused:
        Values({}, condition).resolve({"Fn::If": ["It", 1, 2]})

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("parameters", [{}, {"Stage": "test"}])
def test_a_parameter_needs_an_allowed_value(parameters: dict[str, str]) -> None:
    """A default counts as a value."""
    with pytest.raises(ParameterError, match=r"parameter Stage .+; expected dev or prod"):
        values(**parameters)
