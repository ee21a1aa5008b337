"""What a resources file adds to the API."""

import json
from pathlib import Path
from typing import Any

import pytest

from localgateway.api_gateway.template import ApiTemplate, AuthorizerDefinition, read_template

RESPONSE = {"Type": "AWS::ApiGatewayV2::RouteResponse", "Properties": {"RouteId": {"Ref": "R"}}}
WITH = {"RouteResponseSelectionExpression": "$default"}
URI = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/%s/invocations"
AUTHORIZER = {
    "Type": "AWS::ApiGatewayV2::Authorizer",
    "Properties": {
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": {"Fn::Sub": URI % "${Guard.Arn}"},
        "IdentitySource": ["route.request.querystring.token"],
    },
}
CUSTOM = {"AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": "A"}}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, ApiTemplate()),
        (
            {"Response": RESPONSE, "R": {"Properties": {**WITH, "RouteKey": "join"}}},
            ApiTemplate(frozenset({"join"})),
        ),
        ({"Response": RESPONSE, "R": {"Properties": {"RouteKey": "join"}}}, ApiTemplate()),
        ({"R": {"Properties": {**WITH, "RouteKey": "join"}}}, ApiTemplate()),
        (
            {
                "Response": {
                    **RESPONSE,
                    "Properties": {"RouteId": {"Ref": "WebsocketMessageRoute"}},
                },
                "WebsocketMessageRoute": {"Properties": WITH},
            },
            ApiTemplate(frozenset({"$default"})),
        ),
        (
            {"A": AUTHORIZER, "WebsocketConnectRoute": {"Properties": CUSTOM}},
            ApiTemplate(
                authorizer=AuthorizerDefinition("Guard", ("route.request.querystring.token",))
            ),
        ),
        ({"A": AUTHORIZER, "WebsocketMessageRoute": {"Properties": CUSTOM}}, ApiTemplate()),
        ({"A": AUTHORIZER}, ApiTemplate()),
    ],
)
def test_route_responses_and_the_authorizer(
    tmp_path: Path, resources: dict[str, Any], expected: ApiTemplate
) -> None:
    """Only what API Gateway would use counts."""
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"Resources": resources}))

    assert read_template(path) == expected


@pytest.mark.parametrize("text", [None, "{", "[]", "[" * 100_000])
def test_no_template_adds_nothing(tmp_path: Path, text: str | None) -> None:
    """Whatever creates the tables reports a broken file."""
    path = tmp_path / "resources.json"
    if text is not None:
        path.write_text(text)

    assert read_template(path) == ApiTemplate()


@pytest.mark.parametrize(
    "resources",
    [
        [],
        {"A": []},
        {"Response": RESPONSE | {"Properties": []}},
        {"WebsocketConnectRoute": {"Properties": None}},
        {"A": {**AUTHORIZER, "Properties": []}, "WebsocketConnectRoute": {"Properties": CUSTOM}},
    ],
)
def test_a_value_of_another_form_adds_nothing_and_is_logged(
    tmp_path: Path, resources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway serves without an authorizer then, which nobody should have to guess."""
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"Resources": resources}))

    assert read_template(path) == ApiTemplate()
    assert f"no authorizer: cannot use {path}" in caplog.text
