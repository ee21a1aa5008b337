"""A `@connections` API over real sockets that behaves as a test says."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from bench.fanout.signatures import Received

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    import pytest

# Instead of an answer: `hang` keeps silent until the test ends, `cut` closes the connection.
Fault = Literal["hang", "cut"]
SILENT = 0  # a status


@dataclass(frozen=True)
class Answer:
    """One answer. `closing` closes the connection after it without announcing that."""

    status: int = 200
    body: bytes = b""
    error_type: str = ""
    closing: bool = False


@dataclass
class ConnectionsApi:
    """A fake of `@connections`, and what it has received.

    `behave` decides about each request, on the server's threads. It is either a test's own
    function or `by_state`, which answers for the connections that are `alive`: `statuses` are
    other answers by connection id, and `before` runs first, with the method and the id. GET tells
    when a connection was `last_active`.

    `clients` are the addresses that TCP connections came from, one each.
    """

    url: str = ""
    behave: Callable[[Received], Answer | Fault] = lambda _: Answer()
    alive: set[str] = field(default_factory=set)
    last_active: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    before: Callable[[str, str], object] = lambda _method, _connection_id: None
    received: list[Received] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str) -> list[str]:
        """Return the ids of the connections that were asked for with a method."""
        return [connection_id for used, connection_id in self.requests if used == method]

    def silence(self, connection_id: str) -> None:
        """Never answer for a connection."""
        self.statuses[connection_id] = SILENT

    def by_state(self, request: Received) -> Answer | Fault:
        """Answer 410 for a connection that is not alive, and let DELETE close one that is."""
        connection_id = connection_of(request)
        self.before(request.method, connection_id)
        status = self.statuses.get(connection_id, 200 if connection_id in self.alive else 410)
        if connection_id not in self.statuses and status == 200 and request.method == "DELETE":
            self.alive.remove(connection_id)
            status = 204
        at = self.last_active.get(connection_id)
        if request.method == "GET" and status == 200 and at is not None:
            return Answer(status, json.dumps({"lastActiveAt": at}).encode())
        return "hang" if status == SILENT else Answer(status)

    def respond(self, request: Received, client: tuple[str, int]) -> Answer | Fault:
        """Record a request and return what is done about it."""
        self.clients.add(client)
        self.received.append(request)
        self.requests.append((request.method, connection_of(request)))
        return self.behave(request)


def connection_of(request: Received) -> str:
    """Return the id of the connection that a request is about."""
    return unquote(request.target.rpartition("/")[2])


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # room for every connection that a test opens at once
    daemon_threads = True


def _handler(api: ConnectionsApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            reaction = api.respond(request, self.client_address)
            if isinstance(reaction, Answer):
                self._answer(reaction)
                return
            self.close_connection = True
            if reaction == "hang":
                api.ended.wait()

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - http.server looks for these names

        def _answer(self, answer: Answer) -> None:
            self.send_response(answer.status)
            if answer.error_type:
                self.send_header("x-amzn-ErrorType", answer.error_type)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection |= answer.closing

        def log_message(self, *_: object) -> None:
            """Print nothing: tests read what the functions log."""

    return Handler


@contextmanager
def connections_api(tls: ssl.SSLContext | None = None) -> Iterator[ConnectionsApi]:
    """Serve the stage `dev` on a free port of loopback. It answers 200 until told otherwise."""
    api = ConnectionsApi()
    with _Server(("127.0.0.1", 0), _handler(api)) as server:
        port = server.server_address[1]
        api.url = f"http://127.0.0.1:{port}/dev"
        if tls:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            api.url = f"https://localhost:{port}/dev"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            api.ended.set()
            server.shutdown()
            thread.join()


def api_in_use(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectionsApi]:
    """Yield an API that answers by its state, and make the functions use it: a fixture's body."""
    with connections_api() as api:
        api.behave = api.by_state
        monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", api.url)
        yield api
