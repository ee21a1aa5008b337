"""Finds a stage in AWS: by Chalice's record, or by the outputs of a CloudFormation stack."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from accept.aws import Aws
from accept.errors import TargetError
from accept.target import APP, FUNCTIONS, Kind, Target, longest_s, stage_config

if TYPE_CHECKING:
    from pathlib import Path

MANAGEMENT = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"


def by_record(stage: str, project: Path, url: str | None) -> tuple[Target, Aws]:
    """Return the stage that `chalice deploy` deployed, and clients of its account.

    Raise `TargetError` if it is not deployed or AWS cannot be asked.
    """
    path = project / ".chalice" / "deployed" / f"{stage}.json"
    try:
        resources = json.loads(path.read_text(encoding="utf-8"))["resources"]
        api = next(r for r in resources if r["resource_type"] == "websocket_api")
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        problem = f"{path} does not say where {stage} is deployed ({error!r}); deploy it first"
        raise TargetError(problem) from error
    return _target(
        "chalice", stage, url or api["websocket_api_url"], project, api_id=api["websocket_api_id"]
    )


def by_stack(name: str, project: Path, url: str | None) -> tuple[Target, Aws]:
    """Return the stage that a stack deployed, and clients of its account.

    Raise `TargetError` if there is no such stack or AWS cannot be asked.
    """
    try:
        [stack] = _session().client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise TargetError(f"stack {name!r} cannot be read: {error}") from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", ())}
    try:
        stage = parameters["Stage"]
        address = url or outputs["WebsocketConnectEndpointURL"]
    except KeyError as error:
        problem = f"stack {name!r} is {stack['StackStatus']} and has no {error}"
        raise TargetError(problem) from error
    api_id = outputs.get("WebsocketAPIId")
    return _target("stack", stage, address, project, api_id=api_id, stack=name)


def _target(
    kind: Kind,
    stage: str,
    url: str,
    project: Path,
    *,
    api_id: str | None,
    stack: str | None = None,
) -> tuple[Target, Aws]:
    functions = {name: f"{APP}-{stage}-{deployed}" for name, deployed in FUNCTIONS.items()}
    _check_address(url)
    url = url.rstrip("/")
    try:
        session = _session()
        connect: Any = session.client("lambda").get_function_configuration(
            FunctionName=functions["connect"]
        )
    except (BotoCoreError, ClientError) as error:
        raise TargetError(f"function {functions['connect']} cannot be read: {error}") from error
    settings = connect.get("Environment", {}).get("Variables", {})
    _, partition, _, region, account, *_ = connect["FunctionArn"].split(":")
    topic = settings.get("NOTIFICATIONS_TOPIC") or f"IncidentNotifications-{stage}"
    target = Target(
        kind=kind,
        stage=stage,
        url=url,
        connections_api=settings.get(MANAGEMENT) or _over_http(url),
        functions=functions,
        table=settings["CONNECTIONS_TABLE"],
        topic_arn=f"arn:{partition}:sns:{region}:{account}:{topic}",
        project=project,
        settings=settings,
        api_id=api_id,
        stack=stack,
    )
    endpoints = {"apigatewaymanagementapi": target.connections_api}
    return target, Aws(session, endpoints, longest_s=longest_s(stage_config(project, stage)))


def _session() -> boto3.Session:
    # The commands that deploy read AWS_REGION, too, and botocore does not.
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


def _check_address(url: str) -> None:
    problem = TargetError(f"--url is {url!r}; expected wss://HOST or wss://HOST/MAPPING")
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise problem from error
    if not is_right:
        raise problem


def _over_http(url: str) -> str:
    return url.replace("wss://", "https://", 1).replace("ws://", "http://", 1)
