"""Publish the routes that `chalice deploy` has just updated, and let clients receive answers.

A stage serves a snapshot of its API. Chalice takes one when it creates the API but not when it
updates it, so the stage would never serve a route that was added later.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-set-up-websocket-deployment.html

API Gateway sends a function's answer to a message back to the client only if the route has a route
response, and Chalice creates none.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import NotDeployedError, ProvisionError
from provision.session import region_of

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client

# An account may create one deployment in 5 s, and a first `chalice deploy` has just created one.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
DEPLOYMENT_PERIOD_S = 6
DEPLOYMENT_ATTEMPTS = 20


def websocket_api_id(deployed: Path) -> str:
    """Return the id of the stage's WebSocket API from `.chalice/deployed/{stage}.json`.

    Raise `NotDeployedError` if the file is missing, is not Chalice's, or lists no WebSocket API.
    """
    try:
        resources = json.loads(deployed.read_text(encoding="utf-8"))["resources"]
        return next(str(r["websocket_api_id"]) for r in resources if "websocket_api_id" in r)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise NotDeployedError(deployed) from error


def ensure_route_response(client: ApiGatewayV2Client, api_id: str) -> None:
    """Create the route response of `$default` unless it exists or the API has no such route."""
    for page in client.get_paginator("get_routes").paginate(ApiId=api_id):
        for route in page["Items"]:
            if route["RouteKey"] == "$default" and not _responds(client, api_id, route["RouteId"]):
                client.create_route_response(
                    ApiId=api_id, RouteId=route["RouteId"], RouteResponseKey="$default"
                )


def _responds(client: ApiGatewayV2Client, api_id: str, route_id: str) -> bool:
    # API Gateway allows one route response per route, so there is no second page.
    return bool(client.get_route_responses(ApiId=api_id, RouteId=route_id)["Items"])


def release(client: ApiGatewayV2Client, api_id: str, stage: str) -> None:
    """Take a snapshot of the API's routes and point the stage at it.

    Wait up to two minutes while API Gateway refuses it for the account's rate.
    """
    for _ in range(DEPLOYMENT_ATTEMPTS - 1):
        try:
            client.create_deployment(ApiId=api_id, StageName=stage)
        except client.exceptions.TooManyRequestsException:
            time.sleep(DEPLOYMENT_PERIOD_S)
        else:
            return
    client.create_deployment(ApiId=api_id, StageName=stage)


@click.command(name="python -m provision.release")
@click.option("--stage", required=True, help="The stage that `chalice deploy` has updated.")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The folder that contains .chalice.",
)
@click.option("--region", help="The AWS region. The default is the configured one.")
def main(stage: str, project: Path, region: str | None) -> None:
    """Publish the API's current routes to the stage."""
    try:
        api_id = websocket_api_id(project / ".chalice" / "deployed" / f"{stage}.json")
        client = boto3.client("apigatewayv2", region_name=region_of(region))
        ensure_route_response(client, api_id)
        release(client, api_id, stage)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"stage {stage} of API {api_id} now serves the current routes")


if __name__ == "__main__":
    main()
