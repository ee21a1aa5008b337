"""Functions, conditions and parameters of a template."""

from typing import Any

import pytest

from localgateway.errors import ResourcesError
from localgateway.resources.intrinsics import Values

VALUES = Values.of(
    {
        "Parameters": {"Stage": {}, "Size": {"Default": "small"}, "Secret": {"Type": "String"}},
        "Conditions": {
            "Dev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
            "NotDev": {"Fn::Not": [{"Condition": "Dev"}]},
            "Both": {"Fn::And": [{"Condition": "Dev"}, {"Condition": "NotDev"}]},
            "Either": {"Fn::Or": [{"Condition": "Dev"}, {"Condition": "NotDev"}]},
            "Odd": {"Fn::Contains": []},
        },
    },
    {"Stage": "dev", "AWS::Region": "eu-west-1"},
)


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Size"}, "small"),
        ({"Fn::Sub": "a-${Stage}-${AWS::Region}-${!Kept}"}, "a-dev-eu-west-1-${Kept}"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}]]}, "a-dev"),
        ({"Fn::If": ["Dev", 1, 2]}, 1),
        ({"Fn::If": ["NotDev", 1, {"Ref": "Size"}]}, "small"),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ({"Fn::If": ["Either", 1, 2]}, 1),
        ([1, {"Ref": "AWS::NoValue"}, {"a": {"Ref": "AWS::NoValue"}}], [1, {}]),
        ({"Fn::If": ["Dev", {"Ref": "AWS::NoValue"}, 2]}, None),
    ],
)
def test_a_function_is_resolved(value: Any, resolved: Any) -> None:
    """As CloudFormation resolves it."""
    assert VALUES.resolve(value) == resolved


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"Ref": "Secret"}, "Secret has no value here; give the parameter a Default"),
        ({"Fn::Sub": "${Queue}"}, "Queue has no value here"),
        ({"Fn::GetAtt": ["A", "Arn"]}, "Fn::GetAtt with ['A', 'Arn'] is not supported; supported:"),
        ({"Fn::If": ["Unknown", 1, 2]}, "condition Unknown is not defined"),
        ({"Fn::If": ["Odd", 1, 2]}, "condition {'Fn::Contains': []} is not supported; supported:"),
    ],
)
def test_a_value_that_is_not_known_is_an_error(value: Any, said: str) -> None:
    """It names the function, the condition or the parameter."""
    with pytest.raises(ResourcesError) as raised:
        VALUES.resolve(value)

    assert said in str(raised.value)
