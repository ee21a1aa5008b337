"""A gateway in a thread of the test process, and a recorder of the sample app's reports."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import faulthandler
import json
import re
import shutil
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
import uvloop
from botocore.config import Config
from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_lambda import LambdaClient
from mypy_boto3_sns import SNSClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from localgateway import run_file
from localgateway.gateway import serve
from localgateway.options import Options

SAMPLE = Path(__file__).with_name("sample_project")
PATIENCE = 30.0
# For a start on a loaded machine, and for a stop.
LONG_PATIENCE = 120.0
# The form of a signature; its value is checked nowhere on the gateway's port.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=ANYKEY/20261125/us-east-1/{service}/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + 64 * "0"
)
UPGRADE = (
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
)
SESSION = boto3.Session("local", "local", region_name="us-east-1")


@dataclass
class Told:
    """A report of the sample app; a function that holds continues after `release`."""

    kind: str
    content: Any
    pid: int
    hold: bool
    connection: socket.socket

    def release(self) -> None:
        """Let the function continue."""
        self.connection.sendall(b"\n")

    @property
    def connection_id(self) -> Any:
        """Return the connection id of an event."""
        return self.content["requestContext"]["connectionId"]

    @property
    def query(self) -> dict[str, str]:
        """Return the query string of a `$connect` event; other reports have none."""
        query: dict[str, str] = {}
        if self.kind == "connect":
            query = self.content.get("queryStringParameters", {})
        return query


class Recorder(socketserver.ThreadingTCPServer):
    """Records the sample app's reports in order and lets a test wait for them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.told: list[Told] = []
        self._news = threading.Condition()

    @property
    def port(self) -> int:
        """Return the port that the sample app connects to."""
        return int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Read the report of one connection."""
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
        """Return the wanted reports so far."""
        with self._news:
            return [told for told in self.told if wanted(told)]

    def wait(self, wanted: Callable[[Told], bool], number: int = 1) -> list[Told]:
        """Return the wanted reports once there are at least `number`."""
        with self._news:
            found = self._news.wait_for(
                lambda: sum(map(wanted, self.told)) >= number, timeout=PATIENCE
            )
        seen = [told.kind for told in self.told]
        assert found, f"fewer than {number} wanted reports among {seen}"
        return self.all(wanted)

    def ended(self, connection_id: str) -> dict[str, Any]:
        """Return the `$disconnect` event of a connection once it is delivered."""
        [told] = self.wait(
            lambda told: told.kind == "disconnect" and told.connection_id == connection_id
        )
        event: dict[str, Any] = told.content
        return event


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run a recorder within the block."""
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
        """Return the address without ws:// or http://."""
        return self._found(r"ws://(\S+)")

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self._found(r"ws://[^:]+:(\d+)/"))

    @property
    def url(self) -> str:
        """Return the URL for clients."""
        return f"ws://{self.address}"

    def client(
        self, query: str = "", **options: Any
    ) -> contextlib.AbstractContextManager[ClientConnection]:
        """Connect a client within the block."""
        client: contextlib.AbstractContextManager[ClientConnection] = connect(
            self.url + query, close_timeout=PATIENCE, **options
        )
        return client

    @contextmanager
    def opened(self, query: str = "", **options: Any) -> Iterator[tuple[ClientConnection, str]]:
        """Connect a client within the block; yield it and its connection id."""
        known = len(self.recorder.all(_connects))
        with self.client(query, **options) as client:
            told = self.recorder.wait(_connects, known + 1)[known]
            yield client, told.connection_id

    def management(self) -> ApiGatewayManagementApiClient:
        """Return a client of @connections."""
        return SESSION.client("apigatewaymanagementapi", endpoint_url=f"http://{self.address}")

    def dynamodb(self) -> DynamoDBClient:
        """Return a client of the embedded DynamoDB."""
        return self.session().client("dynamodb", endpoint_url=self.engine)

    @property
    def engine(self) -> str:
        """Return the embedded AWS's own address."""
        return self._found(r"DynamoDB\s+(\S+)")

    @property
    def run(self) -> run_file.Run:
        """Return the contents of its run file."""
        return run_file.find(self.port)

    def session(self) -> boto3.Session:
        """Return a session with the run's own credentials."""
        variables = self.run.variables
        return boto3.Session(
            variables["AWS_ACCESS_KEY_ID"],
            variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )

    def functions(self) -> LambdaClient:
        """Return a client of the Invoke API that does not retry."""
        config = Config(retries={"total_max_attempts": 1})
        endpoint = f"http://127.0.0.1:{self.port}"
        return SESSION.client("lambda", endpoint_url=endpoint, config=config)

    def sns(self, region: str = "us-east-1") -> SNSClient:
        """Return a client of the embedded SNS."""
        return self.session().client("sns", endpoint_url=self.engine, region_name=region)

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
    """Run a gateway on a free port within the block."""
    chosen = dataclasses.replace(Options(project, port=0, reload=False), **options)
    started: concurrent.futures.Future[Gateway] = concurrent.futures.Future()
    stopped = threading.Event()

    loop: asyncio.AbstractEventLoop

    async def run() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()

        def announce(text: str, stop: Callable[[], None]) -> None:
            def stop_from_here() -> None:
                stopped.set()
                loop.call_soon_threadsafe(stop)

            started.set_result(Gateway(click.unstyle(text), stop_from_here, recorder))

        await serve(chosen, announce)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(uvloop.run, run())
        ended.add_done_callback(lambda _: started.cancel())
        try:
            gateway = started.result(timeout=LONG_PATIENCE)
        except concurrent.futures.CancelledError:
            ended.result()
            raise
        try:
            yield gateway
        finally:
            if not (stopped.is_set() or ended.done()):
                gateway.stop()
        try:
            ended.result(timeout=8)
        except TimeoutError:
            _show(loop)
            raise


def _show(loop: asyncio.AbstractEventLoop) -> None:
    """Print what a gateway that does not stop waits for."""
    for task in asyncio.all_tasks(loop):
        task.print_stack(file=sys.stderr)
    faulthandler.dump_traceback()


def request_head(*lines: str) -> bytes:
    """Return the header of an HTTP request."""
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def upgrade_request(target: str = "/live") -> bytes:
    """Return a handshake's request."""
    return request_head(f"GET {target} HTTP/1.1", *UPGRADE)


def refused(gateway: Gateway, query: str) -> tuple[int, str]:
    """Try to connect and return status and body of the refusal."""
    with pytest.raises(InvalidStatus) as raised, gateway.client(query):
        pass
    response = raised.value.response
    return response.status_code, (response.body or b"").decode()


def closed(client: ClientConnection) -> tuple[int, str]:
    """Wait until the gateway closes a connection and return the code and reason of its frame."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=PATIENCE)
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


def ask(client: ClientConnection, **asked: Any) -> Any:
    """Send a message to the sample app and return its reply."""
    client.send(json.dumps(asked))
    return client.recv(timeout=PATIENCE)


@contextmanager
def raw(gateway: Gateway, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """Open a socket without any protocol."""
    with socket.socket() as opened:
        opened.settimeout(PATIENCE)
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.connect(("127.0.0.1", gateway.port))
        yield opened


def drained(opened: socket.socket) -> bytes:
    """Read until the gateway drops or closes a socket."""
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(65536):
            read += part
    return read


def answered(opened: socket.socket) -> bytes:
    """Read a response whose body is a JSON object."""
    read = b""
    while not read.endswith(b"}"):
        part = opened.recv(1024)
        assert part, f"closed after {read!r}"
        read += part
    return read


def serves(gateway: Gateway) -> bool:
    """Return whether a well-behaved client is served."""
    with gateway.client() as client:
        client.send("hello")
        return client.recv(timeout=PATIENCE) == "not JSON: hello"
