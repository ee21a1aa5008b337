"""A gateway that runs for a test, and a recorder of what the sample app is told to tell."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import json
import re
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_lambda import LambdaClient
from mypy_boto3_sns import SNSClient
from websockets.sync.client import ClientConnection, connect

from localgateway.gateway import serve
from localgateway.options import Options

SAMPLE = Path(__file__).with_name("sample_project")
PATIENCE = 30.0
SESSION = boto3.Session("local", "local", region_name="us-east-1")


@dataclass
class Told:
    """What the sample app told; a function that holds goes on once `release` is called."""

    kind: str
    content: Any
    pid: int
    hold: bool
    connection: socket.socket

    def release(self) -> None:
        """Let the function go on."""
        self.connection.sendall(b"\n")

    @property
    def connection_id(self) -> Any:
        """Give the connection that an event is about."""
        return self.content["requestContext"]["connectionId"]

    @property
    def query(self) -> dict[str, str]:
        """Give the query string of a `$connect` event; anything else has none."""
        query: dict[str, str] = {}
        if self.kind == "connect":
            query = self.content.get("queryStringParameters", {})
        return query


class Recorder(socketserver.ThreadingTCPServer):
    """Records what the sample app tells, in order, and lets a test wait for it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.told: list[Told] = []
        self._news = threading.Condition()

    @property
    def port(self) -> int:
        """Give the port that the sample app connects to."""
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Take what is told over one connection."""
        del client_address
        with request.makefile() as lines:
            told = Told(**json.loads(lines.readline()), connection=request)
            with self._news:
                self.told.append(told)
                self._news.notify_all()
            if not told.hold:
                told.release()
            lines.read()

    def all(self, wanted: Callable[[Told], bool]) -> list[Told]:
        """Give everything told so far that is wanted."""
        with self._news:
            return [told for told in self.told if wanted(told)]

    def wait(self, wanted: Callable[[Told], bool], number: int = 1) -> list[Told]:
        """Wait until so many wanted things have been told."""
        with self._news:
            found = self._news.wait_for(
                lambda: sum(map(wanted, self.told)) >= number, timeout=PATIENCE
            )
        seen = [told.kind for told in self.told]
        assert found, f"{number} wanted things were not told; told were {seen}"
        return self.all(wanted)

    def ended(self, connection_id: str) -> dict[str, Any]:
        """Wait for the `$disconnect` event of a connection."""
        [told] = self.wait(
            lambda told: told.kind == "disconnect" and told.connection_id == connection_id
        )
        event: dict[str, Any] = told.content
        return event


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run a recorder."""
    with Recorder() as recorder:
        thread = threading.Thread(target=recorder.serve_forever)
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()


@dataclass
class Gateway:
    """A gateway in a thread of this process, serving the sample app."""

    text: str
    stop: Callable[[], None]
    recorder: Recorder

    @property
    def address(self) -> str:
        """Give what follows ws:// or http://."""
        return self._found(r"ws://(\S+)")

    @property
    def port(self) -> int:
        """Give the port."""
        return int(self._found(r"ws://[^:]+:(\d+)/"))

    @property
    def url(self) -> str:
        """Give the address that a client connects to."""
        return f"ws://{self.address}"

    def client(
        self, query: str = "", **options: Any
    ) -> contextlib.AbstractContextManager[ClientConnection]:
        """Connect a client until the end of the block."""
        client: contextlib.AbstractContextManager[ClientConnection] = connect(
            self.url + query, close_timeout=PATIENCE, **options
        )
        return client

    @contextmanager
    def opened(self, query: str = "", **options: Any) -> Iterator[tuple[ClientConnection, str]]:
        """Connect a client until the end of the block, and give it with its connection id."""
        known = len(self.recorder.all(_connects))
        with self.client(query, **options) as client:
            told = self.recorder.wait(_connects, known + 1)[known]
            yield client, told.connection_id

    def management(self) -> ApiGatewayManagementApiClient:
        """Give boto3's client of @connections."""
        return SESSION.client("apigatewaymanagementapi", endpoint_url=f"http://{self.address}")

    def dynamodb(self) -> DynamoDBClient:
        """Give boto3's client of the embedded DynamoDB."""
        return SESSION.client("dynamodb", endpoint_url=self._found(r"DynamoDB\s+(\S+)"))

    def functions(self) -> LambdaClient:
        """Give boto3's client of the functions, which tries once."""
        config = Config(retries={"total_max_attempts": 1})
        endpoint = f"http://127.0.0.1:{self.port}"
        return SESSION.client("lambda", endpoint_url=endpoint, config=config)

    def sns(self, region: str = "us-east-1") -> SNSClient:
        """Give boto3's client of the embedded SNS."""
        endpoint = self._found(r"DynamoDB\s+(\S+)")
        return SESSION.client("sns", endpoint_url=endpoint, region_name=region)

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.text)
        assert match, f"{pattern} is not in {self.text}"
        return match[1]


def _connects(told: Told) -> bool:
    return told.kind == "connect"


def copy_sample(folder: Path, recorder: Recorder) -> Path:
    """Copy the sample project, with the recorder's port in its configuration."""
    project = folder / "project"
    shutil.copytree(SAMPLE, project, ignore=shutil.ignore_patterns("__pycache__"))
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["environment_variables"]["RECORDER"] = str(recorder.port)
    path.write_text(json.dumps(config))
    return project


@contextmanager
def running(project: Path, recorder: Recorder, **options: Any) -> Iterator[Gateway]:
    """Run a gateway on a free port until the end of the block."""
    chosen = dataclasses.replace(Options(project, port=0), **options)
    started: concurrent.futures.Future[Gateway] = concurrent.futures.Future()
    stopped = threading.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def announce(text: str, stop: Callable[[], None]) -> None:
            def stop_from_here() -> None:
                stopped.set()
                loop.call_soon_threadsafe(stop)

            started.set_result(Gateway(text, stop_from_here, recorder))

        await serve(chosen, announce)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(asyncio.run, run())
        ended.add_done_callback(lambda _: started.cancel())
        try:
            gateway = started.result(timeout=PATIENCE)
        except concurrent.futures.CancelledError:
            ended.result()
            raise
        try:
            yield gateway
        finally:
            if not (stopped.is_set() or ended.done()):
                gateway.stop()
        ended.result(timeout=PATIENCE)
