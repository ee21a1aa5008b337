"""A `@connections` API over real sockets, for the adapter to be tried on."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest

from bench.fanout.signatures import Received

# What is done instead of answering: `hang` keeps silent until the test has ended, `cut` closes
# the connection.
Fault = Literal["hang", "cut"]


@dataclass(frozen=True)
class Answer:
    """One answer of the API; `closing` closes the connection after it without a word."""

    status: int = 200
    body: bytes = b""
    error_type: str = ""
    closing: bool = False


@dataclass
class ConnectionsApi:
    """What the API does and what it has received.

    `behave` is asked with each request, and answers or names a fault; it may be called in
    several threads. `clients` are the addresses that connections came from, one each.
    """

    behave: Callable[[Received], Answer | Fault] = lambda _: Answer()
    received: list[Received] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Server(ThreadingHTTPServer):
    """A server whose backlog holds every connection that a test opens at once."""

    request_queue_size = 128
    daemon_threads = True


def handler(api: ConnectionsApi) -> type[BaseHTTPRequestHandler]:
    """Make the class that serves one connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            api.clients.add(self.client_address)
            api.received.append(request)
            behaviour = api.behave(request)
            if isinstance(behaviour, Answer):
                self._answer(behaviour)
                return
            self.close_connection = True
            if behaviour == "hang":
                api.ended.wait()

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names are http.server's

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
            """Say nothing."""

    return Handler


@pytest.fixture
def api() -> Iterator[ConnectionsApi]:
    """Serve a `@connections` API of the stage `dev` that answers 200 until it is told else."""
    state = ConnectionsApi()
    server = Server(("127.0.0.1", 0), handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}/dev"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    state.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()
