"""Fetches over real sockets, from servers that behave badly."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib.adapters.bounded_fetch import FetchError, fetch

LIMIT_S = 0.5
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Serve one connection with `serve`, which gets the socket and the event of the test's end."""
    ended = threading.Event()

    def accept() -> None:
        client, _ = listener.accept()
        with client:
            try:
                serve(client, ended)
            except OSError:  # the client has hung up
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/keys?v=1"
        finally:
            ended.set()
            thread.join()


def answering(response: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def serve(client: socket.socket, _: threading.Event) -> None:
        client.recv(4096)
        client.sendall(response)

    return serve


def dripping(start: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send `start`, then `drop` ten times a second: each read succeeds well in time."""

    def serve(client: socket.socket, ended: threading.Event) -> None:
        client.sendall(start)
        while not ended.wait(0.1):
            client.sendall(drop)

    return serve


def silent(_: socket.socket, ended: threading.Event) -> None:
    ended.wait()


@pytest.mark.parametrize(
    "response",
    [
        HEAD + b"Content-Length: 4\r\n\r\nkeys",
        HEAD + b"\r\nkeys",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nkey\r\n1\r\ns\r\n0\r\n\r\n",
    ],
)
def test_a_document_is_fetched_however_its_length_is_told(response: bytes) -> None:
    with server(answering(response)) as url:
        assert fetch(url, 30, 4) == b"keys"


def test_the_request_has_the_project_s_user_agent() -> None:
    """Some issuers refuse `Python-urllib`."""
    received = []

    def serve(client: socket.socket, _: threading.Event) -> None:
        received.append(client.recv(4096).decode())
        client.sendall(HEAD + b"\r\n")

    with server(serve) as url:
        fetch(url, 30, 10)

    [request] = received
    line, *headers = request.rstrip().split("\r\n")
    host = url.removeprefix("http://").removesuffix("/keys?v=1")
    assert line == "GET /keys?v=1 HTTP/1.1"
    assert {f"Host: {host}", "User-Agent: incident-websocket"} <= set(headers)


@pytest.mark.parametrize(
    "serve",
    [
        silent,
        dripping(b"", b"H"),
        dripping(HEAD, b"A"),
        dripping(HEAD, b"A: b\r\n"),
        dripping(HEAD + b"Content-Length: 1000\r\n\r\n", b"k"),
        dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nk\r\n"),
    ],
)
def test_a_server_that_drips_is_given_up_at_the_deadline(serve: Any) -> None:
    """The limit is for the whole fetch: the head, the body, and what comes between."""
    with server(serve) as url:
        started = time.monotonic()

        with pytest.raises(FetchError, match=r"timed out|got more than 100 headers"):
            fetch(url, LIMIT_S, 10_000)

        assert time.monotonic() - started < LIMIT_S + 5  # the machine may be busy


def test_a_look_up_of_the_host_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver has no time limit of its own."""
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait())

    with pytest.raises(FetchError, match="timed out"):
        fetch("http://issuer.example.com/keys", 0.05, 10)
    ended.set()


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (HEAD + b"Content-Length: 11\r\n\r\n" + b"k" * 11, "longer than 10 bytes"),
        (HEAD + b"\r\n" + b"k" * 100_000, "longer than 10 bytes"),
        (HEAD + b"Content-Length: 9\r\n\r\nkeys", "closed within the response"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nkeys", "IncompleteRead"),
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n", "status 302"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "status 500"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH"),
        (b"", "closed connection"),
    ],
)
def test_anything_but_the_whole_document_is_an_error(response: bytes, problem: str) -> None:
    with server(answering(response)) as url, pytest.raises(FetchError, match=problem):
        fetch(url, 30, 10)


def test_a_server_that_refuses_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(FetchError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/", 30, 10)
