"""The release of routes; tests/deployment runs it after a real `chalice deploy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from provision.release import ensure_route_response, main

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from mypy_boto3_apigatewayv2.type_defs import RouteResponseTypeDef, RouteTypeDef

RECORD = (
    '{"resources": [{"name": "websocket_connect", "lambda_arn": "arn:x"},'
    ' {"name": "websocket_api", "websocket_api_id": "abc123"}]}'
)


def release(project: Path, record: str | None) -> Result:
    """Run the command in a project for which Chalice has recorded this."""
    if record is not None:
        path = project / ".chalice" / "deployed" / "dev.json"
        path.parent.mkdir(parents=True)
        path.write_text(record)
    return CliRunner().invoke(main, ["--stage", "dev", "--project", str(project)])


@pytest.mark.parametrize(
    "record",
    [None, "", "[]", "{}", '{"resources": []}', '{"resources": [{"name": "websocket_connect"}]}'],
)
def test_without_a_deployed_api_the_command_says_what_to_run_first(
    tmp_path: Path, record: str | None
) -> None:
    """The record is missing, not JSON, of another shape, or lists no WebSocket API."""
    result = release(tmp_path, record)

    assert result.exit_code == 1
    path = tmp_path / ".chalice" / "deployed" / "dev.json"
    assert result.output == (
        f"Error: no WebSocket API in {path}; run `chalice deploy` for this stage first\n"
    )


@pytest.mark.parametrize(
    ("errors", "pauses"),
    [
        ([], []),
        (["TooManyRequestsException"] * 3, [6, 6, 6]),
        (["TooManyRequestsException"] * 19, [6] * 19),
        (["TooManyRequestsException"] * 20, None),
        (["NotFoundException"], None),
        (["TooManyRequestsException", "BadRequestException"], None),
    ],
)
def test_a_release_waits_for_the_rate_of_deployments_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[str], pauses: list[int] | None
) -> None:
    """An account may create one deployment in 5 s; another error ends the command in one line."""
    client = boto3.client("apigatewayv2", region_name="eu-west-1")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    slept: list[int] = []
    monkeypatch.setattr("provision.release.time.sleep", slept.append)
    snapshot = {"ApiId": "abc123", "StageName": "dev"}

    with Stubber(client) as api_gateway:
        api_gateway.add_response("get_routes", {"Items": []}, {"ApiId": "abc123"})
        for error in errors:
            api_gateway.add_client_error("create_deployment", error)
        if pauses is not None:
            api_gateway.add_response("create_deployment", {"DeploymentId": "d1"}, snapshot)
        result = release(tmp_path, RECORD)

    api_gateway.assert_no_pending_responses()
    if pauses is None:
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert errors[-1] in result.output
    else:
        assert result.output == "stage dev of API abc123 now serves the current routes\n"
        assert slept == pauses


@pytest.mark.parametrize(
    "existing", [[], [{"RouteResponseId": "r1", "RouteResponseKey": "$default"}]]
)
def test_the_default_route_has_one_route_response_afterwards(
    existing: list[RouteResponseTypeDef],
) -> None:
    """The command reads every page of routes and keeps an existing response."""
    client = boto3.client("apigatewayv2", region_name="eu-west-1")
    connect: list[RouteTypeDef] = [{"RouteId": "c1", "RouteKey": "$connect"}]
    default: list[RouteTypeDef] = [{"RouteId": "d1", "RouteKey": "$default"}]
    api, route = {"ApiId": "abc123"}, {"ApiId": "abc123", "RouteId": "d1"}

    with Stubber(client) as api_gateway:
        page: dict[str, object] = {"Items": connect, "NextToken": "more"}
        api_gateway.add_response("get_routes", page, api)
        api_gateway.add_response("get_routes", {"Items": default}, {**api, "NextToken": "more"})
        api_gateway.add_response("get_route_responses", {"Items": existing}, route)
        if not existing:
            created = {**route, "RouteResponseKey": "$default"}
            api_gateway.add_response("create_route_response", {}, created)
        ensure_route_response(client, "abc123")

    api_gateway.assert_no_pending_responses()
