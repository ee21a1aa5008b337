"""What surrounds the functions that keep the table true: `@connections`, a bus, a deadline."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote

import boto3
import pytest

from chalicelib.domain.connection import Connection

BUS = "bus"
_SILENCE = 0


@dataclass(frozen=True)
class Context:
    """What the functions read of a Lambda context."""

    seconds: float = 60.0
    function_name: str = "function"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Give the time left, in ms."""
        return round(self.seconds * 1000)


@dataclass
class ConnectionsApi:
    """A real HTTP server that answers for the connections that are `alive`.

    `statuses` are answers other than that by connection id; `before` runs before a request is
    answered, in the server's thread, with the method and the id; `requests` are all that came.
    """

    url: str
    alive: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)
    before: Callable[[str, str], object] = lambda _method, _connection_id: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    silence_is_over: Event = field(default_factory=Event)

    def silence(self, connection_id: str) -> None:
        """Never answer for this one."""
        self.statuses[connection_id] = _SILENCE

    def asked(self, method: str) -> list[str]:
        """Give the ids of the connections that were asked for with a method."""
        return [connection_id for used, connection_id in self.requests if used == method]

    def status(self, method: str, connection_id: str) -> int:
        """Note a request and give the status that answers it."""
        self.requests.append((method, connection_id))
        self.before(method, connection_id)
        if connection_id in self.statuses:
            return self.statuses[connection_id]
        if connection_id not in self.alive:
            return 410
        if method == "DELETE":
            self.alive.remove(connection_id)
        return {"GET": 200, "DELETE": 204}[method]


@contextmanager
def connections_api() -> Iterator[ConnectionsApi]:
    """Run `@connections` on a free port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            status = api.status(self.command, unquote(self.path.rpartition("/")[2]))
            if status == _SILENCE:
                api.silence_is_over.wait()
                self.close_connection = True
                return
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

        def log_message(self, *_: object) -> None:
            """Keep quiet: a test reads what the functions log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = ConnectionsApi(f"http://127.0.0.1:{server.server_address[1]}/dev")
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield api
        finally:
            api.silence_is_over.set()
            server.shutdown()
            thread.join()


def now_ms() -> int:
    """Give the present moment in epoch ms."""
    return time.time_ns() // 1_000_000


def tracked(connection_id: str, age_s: float = 300.0, **attributes: Any) -> Connection:
    """Describe a connection that was opened `age_s` seconds ago."""
    created_at = now_ms() - round(age_s * 1000)
    known = {"api_id": "local", "region": "eu-west-1", "stage": "dev", **attributes}
    return Connection(connection_id, created_at, created_at // 1000 + 86_400, **known)


def listen() -> Callable[[], list[dict[str, Any]]]:
    """Make a bus with a queue behind it, and give a function that reads what was announced."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=BUS)
    queue = sqs.create_queue(QueueName="announced")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {"source": ["incident-websocket"], "detail-type": ["Connection Closed"]}
    events.put_rule(Name="all", EventBusName=BUS, EventPattern=json.dumps(pattern))
    target: Any = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="all", EventBusName=BUS, Targets=[target])

    def announced() -> list[dict[str, Any]]:
        details = []
        while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            details += [json.loads(message["Body"])["detail"] for message in batch]
        return details

    return announced


def api_in_use(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectionsApi]:
    """Run `@connections`, and have the functions use it: made a fixture where it is needed."""
    with connections_api() as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", api.url)
        yield api
