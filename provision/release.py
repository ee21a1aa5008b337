"""Lets a stage serve the routes that `chalice deploy` has just written, and answer on them.

A stage serves a snapshot of its API. Chalice takes one when it creates the API and none when it
updates it, so a route added later would never be served.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-set-up-websocket-deployment.html

What a function answers to a message reaches the client only when the route has a route response,
and Chalice makes none.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import NotDeployedError, ProvisionError

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client


def websocket_api_id(deployed: Path) -> str:
    """Find the WebSocket API in what Chalice recorded of a stage, `.chalice/deployed/{stage}.json`.

    Raises NotDeployedError when the file is not there, not Chalice's, or names no such API.
    """
    try:
        resources = json.loads(deployed.read_text(encoding="utf-8"))["resources"]
        return next(str(r["websocket_api_id"]) for r in resources if "websocket_api_id" in r)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise NotDeployedError(deployed) from error


def let_answer(client: ApiGatewayV2Client, api_id: str) -> None:
    """Give the `$default` route, if there is one, its route response, if it has none."""
    for page in client.get_paginator("get_routes").paginate(ApiId=api_id):
        for route in page["Items"]:
            if route["RouteKey"] == "$default" and not _answers(client, api_id, route["RouteId"]):
                client.create_route_response(
                    ApiId=api_id, RouteId=route["RouteId"], RouteResponseKey="$default"
                )


def _answers(client: ApiGatewayV2Client, api_id: str, route_id: str) -> bool:
    # API Gateway allows one route response for a route, so there is no second page.
    return bool(client.get_route_responses(ApiId=api_id, RouteId=route_id)["Items"])


def release(client: ApiGatewayV2Client, api_id: str, stage: str) -> None:
    """Take a snapshot of the API's routes and point the stage at it."""
    client.create_deployment(ApiId=api_id, StageName=stage)


@click.command(name="python -m provision.release")
@click.option("--stage", required=True, help="The stage that `chalice deploy` has updated.")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The folder that holds .chalice.",
)
@click.option("--region", help="The AWS region, if not the configured one.")
def main(stage: str, project: Path, region: str | None) -> None:
    """Let the stage serve the routes that the API has now."""
    try:
        api_id = websocket_api_id(project / ".chalice" / "deployed" / f"{stage}.json")
        client = boto3.client("apigatewayv2", region_name=region)
        let_answer(client, api_id)
        release(client, api_id, stage)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"stage {stage} of API {api_id} serves the routes of now")


if __name__ == "__main__":
    main()
