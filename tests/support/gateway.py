"""The local gateway as a process that serves a copy of the project, for end-to-end tests."""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.sweep_position import SWEEP_ROW
from localgateway import run_file
from tests.conftest import ROOT, TABLE
from tests.support import engines

PATIENCE_S = 120.0
# Beside another DynamoDB, the gateway takes the credentials of its shell.
OTHER_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass(eq=False)
class Gateway:
    """A local gateway in a process of its own.

    `engine` is the address of its DynamoDB, unless that is the embedded one.
    `said` are the lines that it has printed, and `log` those of the functions, parsed.
    """

    process: subprocess.Popen[str]
    engine: str | None = None
    said: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        """Collect lines until the process ends."""
        for line in self.process.stdout or ():
            with self.news:
                self.said.append(line)
                if line.startswith("{"):
                    self.log.append(json.loads(line))
                self.news.notify_all()

    def wait(self, happened: Callable[[], bool]) -> None:
        """Wait until `happened` is true; it is checked after every line."""
        with self.news:
            assert self.news.wait_for(happened, PATIENCE_S), "".join(self.said[-20:])

    def found(self, pattern: str) -> str:
        """Wait for a line that matches and return the pattern's first group."""
        expression = re.compile(pattern)
        self.wait(lambda: any(map(expression.search, self.said)))
        return next(match[1] for line in self.said if (match := expression.search(line)))

    def ended(self, connection_id: str) -> dict[str, Any]:
        """Return the log line of a connection's end once there is one."""

        def found() -> list[dict[str, Any]]:
            lines = self.logged("disconnected")
            return [line for line in lines if line["connectionId"] == connection_id]

        self.wait(lambda: bool(found()))
        [line] = found()
        return line

    def rows(self) -> set[str]:
        """Return the ids of the connections in the table."""
        scan = self.dynamodb().get_paginator("scan")
        pages = scan.paginate(TableName=TABLE, ConsistentRead=True)
        ids = {row["connectionId"]["S"] for page in pages for row in page["Items"]}
        return ids - {SWEEP_ROW}

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Return the functions' log lines with a message."""
        return [line for line in list(self.log) if line["message"] == message]

    @functools.cached_property
    def url(self) -> str:
        """Return the URL for clients."""
        return self.found(r"(ws://\S+)")

    @property
    def lambda_endpoint(self) -> str:
        """Return the URL of the Invoke API."""
        return "http:" + self.found(r"ws:(//[^/\s]+)")

    def environment(self) -> dict[str, str]:
        """Return variables with which the functions, called in this process, use the gateway."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": self.url.replace("ws://", "http://"),
            "AWS_ENDPOINT_URL_DYNAMODB": self.engine or self.aws_url,
            **self.credentials(),
            "AWS_DEFAULT_REGION": "us-east-1",
            "CONNECTIONS_TABLE": TABLE,
        }

    @functools.cached_property
    def aws_url(self) -> str:
        """Return the URL of the embedded AWS services."""
        if self.engine:
            return self.lambda_endpoint
        return self.found(r"DynamoDB +(\S+)")

    def credentials(self) -> Mapping[str, str]:
        """Return the variables of the run's own credentials, from its run file."""
        if self.engine:
            return OTHER_CREDENTIALS
        variables = run_file.find(int(self.lambda_endpoint.rpartition(":")[2])).variables
        return {name: variables[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}

    @functools.cache  # noqa: B019 - a gateway lives as long as its tests
    def client(self, service: Any, url: str | None = None) -> Any:
        """Return a client with the run's credentials, by default of the embedded AWS."""
        credentials = self.credentials()
        return boto3.client(
            service,
            endpoint_url=url or self.aws_url,
            region_name="us-east-1",
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        )

    def dynamodb(self) -> DynamoDBClient:
        """Return a client of the gateway's DynamoDB."""
        client: DynamoDBClient = self.client("dynamodb", self.engine)
        return client

    def connections_api(self) -> ApiGatewayManagementApiClient:
        """Return a client of the gateway's @connections."""
        url = self.url.replace("ws://", "http://")
        client: ApiGatewayManagementApiClient = self.client("apigatewaymanagementapi", url)
        return client


def copy_project(
    project: Path,
    settings: Mapping[str, str] | None = None,
    timeouts: Mapping[str, int] | None = None,
) -> None:
    """Copy what Chalice deploys to the folder `project`, with the settings of `serving`."""
    for folder in (".chalice", "chalicelib"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "app.py", project)
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["dev"]["environment_variables"] |= settings or {}
    for function, timeout in (timeouts or {}).items():
        config["stages"]["dev"]["lambda_functions"][function]["lambda_timeout"] = timeout
    path.write_text(json.dumps(config))


@contextlib.contextmanager
def serving(
    project: Path,
    *options: str,
    settings: Mapping[str, str] | None = None,
    timeouts: Mapping[str, int] | None = None,
    change: Callable[[Path], object] = lambda _project: None,
) -> Iterator[Gateway]:
    """Serve a copy of the project, created in the folder `project`, within the block.

    `settings` are environment variables of the stage `dev`; `timeouts` are in seconds, by the key
    of a function in `.chalice/config.json`; `change` edits the copy before it is served.
    """
    if engines.chosen() != "moto" and any(name.startswith("--dynamodb-") for name in options):
        pytest.skip("only the embedded DynamoDB fails and lags on demand")
    copy_project(project, settings, timeouts)
    change(project)
    command = [
        sys.executable,
        "-m",
        "localgateway",
        "--port=0",
        "--region=us-east-1",
        f"--project={project}",
    ]
    (files := project.with_name(f"{project.name}-engine")).mkdir()
    with (
        engines.running(files) as engine,
        subprocess.Popen(
            [*command, *options, *([f"--dynamodb-endpoint={engine}"] if engine else [])],
            cwd=ROOT,
            env={**os.environ, **(OTHER_CREDENTIALS if engine else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        gateway = Gateway(process, engine)
        listener = threading.Thread(target=gateway.listen, daemon=True)
        listener.start()
        try:
            gateway.found("(Ctrl\\+C)")
            yield gateway
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE_S) == 0
            listener.join()


def age(gateway: Gateway, connection_ids: Iterable[str], seconds: int = 61) -> None:
    """Rewrite rows as if the connections had been opened earlier, before the grace period."""
    client = gateway.dynamodb()
    for connection_id in connection_ids:
        # a row whose `$disconnect` has run meanwhile stays away
        with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName=TABLE,
                Key={"connectionId": {"S": connection_id}},
                UpdateExpression="SET createdAt = createdAt - :ms",
                ConditionExpression="attribute_exists(connectionId)",
                ExpressionAttributeValues={":ms": {"N": str(seconds * 1000)}},
            )
