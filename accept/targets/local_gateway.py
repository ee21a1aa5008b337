"""Finds what a local gateway on this machine serves, from its process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import psutil

from accept.aws import Aws
from accept.errors import TargetError
from accept.target import APP, FUNCTIONS, Target, stage_config

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCOUNT = "123456789012"  # the account of the embedded AWS
_ENGINE = "localgateway.aws.engine"


@dataclass(frozen=True)
class Gateway:
    """A running gateway: its folder, its options and the address of its embedded AWS."""

    project: Path
    stage: str
    dynamodb: str
    engine: str


def find(address: str) -> tuple[Target, Aws]:
    """Return what the gateway at `address` serves, and clients of it.

    Raise `TargetError` if none of this user's processes listens there as a local gateway.
    """
    gateway = _running(address)
    config = stage_config(gateway.project, gateway.stage)
    settings = config["environment_variables"]
    host = urlsplit(address).netloc
    session = boto3.Session("local", "local", region_name="us-east-1")
    topic = settings.get("NOTIFICATIONS_TOPIC", "IncidentNotifications-dev")
    target = Target(
        kind="local",
        stage=gateway.stage,
        url=f"ws://{host}/{gateway.stage}",
        connections_api=f"http://{host}/{gateway.stage}",
        functions={
            name: f"{APP}-{gateway.stage}-{deployed}" for name, deployed in FUNCTIONS.items()
        },
        table=settings["CONNECTIONS_TABLE"],
        topic_arn=f"arn:aws:sns:us-east-1:{ACCOUNT}:{topic}",
        project=gateway.project,
        settings=settings,
    )
    endpoints = {
        "dynamodb": gateway.dynamodb,
        "sns": gateway.engine,
        "lambda": f"http://{host}",
        "apigatewaymanagementapi": target.connections_api,
    }
    return target, Aws(session, endpoints)


def _running(address: str) -> Gateway:
    parts = urlsplit(address)
    process = _listening(parts.port or 80)
    if process is None:
        raise TargetError(f"no local gateway runs at {address}; start one with `make run`")
    try:
        words = process.cmdline()
        engine = next(child for child in process.children(True) if _ENGINE in child.cmdline())
        [port] = {
            each.laddr.port
            for each in engine.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        }
        engine_url = f"http://127.0.0.1:{port}"
        return Gateway(
            project=Path(process.cwd(), _option(words, "--project", ".")),
            stage=_option(words, "--stage", "dev"),
            dynamodb=_option(words, "--dynamodb-endpoint", engine_url),
            engine=engine_url,
        )
    except (psutil.Error, StopIteration, ValueError) as error:
        raise TargetError(f"the process at {address} is not a local gateway ({error!r})") from error


def _listening(port: int) -> psutil.Process | None:
    for process in psutil.process_iter():
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:  # another user's, or ended
            continue
        for each in connections:
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                return process
    return None


def _option(words: Sequence[str], name: str, default: str) -> str:
    for position, word in enumerate(words):
        if word == name and position + 1 < len(words):
            return words[position + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return default
