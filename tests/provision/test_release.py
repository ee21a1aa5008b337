"""The release of routes; tests/deployment shows it after a real `chalice deploy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from provision.errors import NotDeployedError
from provision.release import let_answer, main, websocket_api_id

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_apigatewayv2.type_defs import RouteResponseTypeDef, RouteTypeDef

RECORD = (
    '{"resources": [{"name": "websocket_connect", "lambda_arn": "arn:x"},'
    ' {"name": "websocket_api", "websocket_api_id": "abc123"}]}'
)


def test_the_api_is_found_in_what_chalice_recorded(tmp_path: Path) -> None:
    """The id comes from the stage's own record, past resources of other kinds."""
    record = tmp_path / "dev.json"
    record.write_text(RECORD)
    assert websocket_api_id(record) == "abc123"


@pytest.mark.parametrize(
    "record",
    [None, "", "[]", "{}", '{"resources": []}', '{"resources": [{"name": "websocket_connect"}]}'],
)
def test_a_stage_that_is_not_deployed_is_named(tmp_path: Path, record: str | None) -> None:
    """Without a record of a WebSocket API the command says what to run first."""
    # GIVEN
    if record is not None:
        path = tmp_path / ".chalice" / "deployed" / "dev.json"
        path.parent.mkdir(parents=True)
        path.write_text(record)

    # WHEN
    result = CliRunner().invoke(main, ["--stage", "dev", "--project", str(tmp_path)])

    # THEN
    assert result.exit_code == 1
    assert "dev.json names no WebSocket API; run `chalice deploy`" in result.output
    with pytest.raises(NotDeployedError):
        websocket_api_id(tmp_path / ".chalice" / "deployed" / "dev.json")


def test_a_release_points_the_stage_at_a_new_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call makes the snapshot and hands it to the stage; the command says so."""
    # GIVEN
    record = tmp_path / ".chalice" / "deployed" / "dev.json"
    record.parent.mkdir(parents=True)
    record.write_text(RECORD)
    client = boto3.client("apigatewayv2", region_name="eu-west-1")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    snapshot = {"ApiId": "abc123", "StageName": "dev"}

    # WHEN
    with Stubber(client) as api_gateway:
        api_gateway.add_response("get_routes", {"Items": []}, {"ApiId": "abc123"})
        api_gateway.add_response("create_deployment", {"DeploymentId": "d1"}, snapshot)
        result = CliRunner().invoke(main, ["--stage", "dev", "--project", str(tmp_path)])

    # THEN
    api_gateway.assert_no_pending_responses()
    assert result.output == "stage dev of API abc123 serves the routes of now\n"


@pytest.mark.parametrize("there", [[], [{"RouteResponseId": "r1", "RouteResponseKey": "$default"}]])
def test_the_route_of_messages_gets_one_route_response(
    there: list[RouteResponseTypeDef],
) -> None:
    """It is found on whichever page, made when it is missing, and left when it is there."""
    # GIVEN
    client = boto3.client("apigatewayv2", region_name="eu-west-1")
    connect: list[RouteTypeDef] = [{"RouteId": "c1", "RouteKey": "$connect"}]
    default: list[RouteTypeDef] = [{"RouteId": "d1", "RouteKey": "$default"}]
    route = {"ApiId": "abc123", "RouteId": "d1"}

    # WHEN
    with Stubber(client) as api_gateway:
        pages = {"Items": connect, "NextToken": "more"}, {"Items": default}
        api_gateway.add_response("get_routes", pages[0], {"ApiId": "abc123"})
        api_gateway.add_response("get_routes", pages[1], {"ApiId": "abc123", "NextToken": "more"})
        api_gateway.add_response("get_route_responses", {"Items": there}, route)
        if not there:
            made = {**route, "RouteResponseKey": "$default"}
            api_gateway.add_response("create_route_response", {}, made)
        let_answer(client, "abc123")

    # THEN
    api_gateway.assert_no_pending_responses()
