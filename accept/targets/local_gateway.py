"""Finds what a local gateway on this machine serves, from the file that describes its run."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from accept.aws import Aws
from accept.errors import TargetError
from accept.target import FUNCTIONS, Target, longest_s, stage_config


def find(address: str) -> tuple[Target, Aws]:
    """Return what the gateway at `address` serves, and clients of it.

    Raise `TargetError` if this user runs no gateway there.
    """
    run = _run_at(address)
    stage, variables, project = run["stage"], run["variables"], Path(run["project"])
    config = stage_config(project, stage)
    settings = config["environment_variables"]
    topic = settings.get("NOTIFICATIONS_TOPIC") or f"IncidentNotifications-{stage}"
    session = boto3.Session(
        variables["AWS_ACCESS_KEY_ID"],
        variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    target = Target(
        kind="local",
        stage=stage,
        url=run["url"],
        connections_api=run["url"].replace("ws://", "http://", 1),
        functions={name: f"{run['app']}-{stage}-{own}" for name, own in FUNCTIONS.items()},
        table=settings["CONNECTIONS_TABLE"],
        topic_arn=next((arn for arn in run["topics"] if arn.endswith(f":{topic}")), topic),
        project=project,
        settings=settings,
    )
    everything = variables["AWS_ENDPOINT_URL"]
    endpoints = {
        "dynamodb": variables.get("AWS_ENDPOINT_URL_DYNAMODB", everything),
        "sns": everything,
        "lambda": everything,
        "apigatewaymanagementapi": target.connections_api,
    }
    return target, Aws(session, endpoints, longest_s=longest_s(config))


def _run_at(address: str) -> dict[str, Any]:
    """Return what the gateway writes of its run, which only its user can read."""
    port = urlsplit(address).port or 80
    path = Path(tempfile.gettempdir()) / f"localgateway-{os.getuid()}" / f"{port}.json"
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        os.kill(run["pid"], 0)
    except (OSError, ValueError) as error:
        raise TargetError(
            f"no local gateway runs at {address}; start one with `make run`"
        ) from error
    return run
