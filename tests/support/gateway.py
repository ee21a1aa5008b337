"""The local gateway as a subprocess that serves a copy of the project, for end-to-end tests."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from mypy_boto3_dynamodb import DynamoDBClient

from tests.conftest import ROOT, TABLE

PATIENCE_S = 120.0


@dataclass
class Gateway:
    """A local gateway in a process of its own, and what it and its functions have said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def listen(self) -> None:
        """Take what is said until the process ends."""
        for line in self.process.stdout or ():
            with self.news:
                self.said.append(line)
                self.news.notify_all()

    def wait(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened, of which something said may be the sign."""
        with self.news:
            assert self.news.wait_for(happened, PATIENCE_S), "".join(self.said[-20:])

    def found(self, pattern: str) -> str:
        """Wait for something to be said, and give the group of the pattern."""
        expression = re.compile(pattern)
        self.wait(lambda: any(map(expression.search, self.said)))
        return next(match[1] for line in self.said if (match := expression.search(line)))

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Give the lines that functions have logged with a message."""
        lines = [json.loads(line) for line in list(self.said) if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    @property
    def url(self) -> str:
        """Give the address of the WebSocket API."""
        return self.found(r"(ws://\S+)")

    def environment(self) -> dict[str, str]:
        """Give the variables with which a function here works on what the gateway's do."""
        return {
            "AWS_ENDPOINT_URL": self.found(r"DynamoDB +(\S+)"),
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": self.url.replace("ws://", "http://"),
            "AWS_DEFAULT_REGION": "us-east-1",
            "CONNECTIONS_TABLE": TABLE,
        }

    def dynamodb(self) -> DynamoDBClient:
        """Give a client of the gateway's DynamoDB."""
        endpoint = self.found(r"DynamoDB +(\S+)")
        return boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1")


@contextmanager
def serving(
    project: Path,
    *options: str,
    settings: Mapping[str, str] | None = None,
    timeouts: Mapping[str, int] | None = None,
) -> Iterator[Gateway]:
    """Serve a copy of the project, made in the folder `project`, until the block ends.

    `settings` are set for all functions of the stage `dev`, `timeouts` are those of functions by
    their key in `.chalice/config.json`, in s.
    """
    for folder in (".chalice", "chalicelib"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "app.py", project)
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["dev"]["environment_variables"] |= settings or {}
    for function, timeout in (timeouts or {}).items():
        config["stages"]["dev"]["lambda_functions"][function]["lambda_timeout"] = timeout
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "localgateway", "--port=0", f"--project={project}"]
    with subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        gateway = Gateway(process)
        listener = threading.Thread(target=gateway.listen)
        listener.start()
        try:
            gateway.found("(Ctrl-C)")
            yield gateway
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE_S) == 0
            listener.join()
