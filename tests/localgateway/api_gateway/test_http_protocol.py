"""Hostile and broken HTTP clients, over real sockets."""

import json
from collections.abc import Callable

import pytest

from localgateway import gateway as gateway_module
from localgateway.api_gateway import http_protocol, server
from tests.localgateway.support import (
    SIGNED,
    UPGRADE,
    Gateway,
    answered,
    drained,
    raw,
    request_head,
    serves,
)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(b"hello\r\n\r\n", 400, id="no request"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 400, id="a head without end"),
        pytest.param(
            request_head("GET /live HTTP/1.1", *UPGRADE[:3], UPGRADE[4]),
            400,
            id="no key",
        ),
        pytest.param(request_head("GET /live HTTP/1.1", *UPGRADE[:4]), 400, id="no version"),
        pytest.param(request_head("POST /live HTTP/1.1", *UPGRADE), 405, id="no GET"),
        pytest.param(
            request_head("GET /live HTTP/1.1", *UPGRADE, "X: " + "x" * 16_384),
            431,
            id="a head over 16 KB",
        ),
        pytest.param(request_head("GET /live HTTP/1.0", *UPGRADE), 400, id="HTTP/1.0"),
        pytest.param(
            request_head("GET /live HTTP/1.1", *UPGRADE[:4], "Sec-WebSocket-Version: 8"),
            426,
            id="another version",
        ),
    ],
)
def test_a_garbage_handshake_is_refused_and_dropped(
    gateway: Gateway, sent: bytes, status: int
) -> None:
    """The response has the reason, and the socket is closed."""
    with raw(gateway) as opened:
        opened.sendall(sent)

        assert drained(opened).startswith(f"HTTP/1.1 {status} ".encode())
    assert serves(gateway)


@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_socket_without_a_whole_head_is_dropped_in_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Half-open sockets and endless request headers are dropped."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)

    with raw(gateway) as opened:
        opened.sendall(sent)

        assert drained(opened) == b""


def test_a_later_head_on_the_same_socket_is_limited_as_well(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request on a socket has the time limit."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)
    with raw(gateway) as opened:
        opened.sendall(request_head("GET /live HTTP/1.1", "Host: localhost"))
        assert answered(opened).startswith(b"HTTP/1.1 426 ")

        opened.sendall(b"GET /live HTTP/1.1\r\nX-Slow: ")

        assert drained(opened) == b""


@pytest.mark.parametrize("part", [b"x", b"x" * 400])
def test_a_body_that_nobody_reads_has_to_end_in_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    """The answer comes before it; a byte of it must not keep the socket open for ever."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)
    head = request_head("GET /live HTTP/1.1", "Host: localhost", "Content-Length: 1000")
    with raw(gateway) as opened:
        opened.sendall(head)
        assert answered(opened).startswith(b"HTTP/1.1 426 ")

        opened.sendall(part)

        assert drained(opened) == b""


def test_a_body_that_nobody_reads_may_come_later(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request on the socket is served, however long its own answer takes."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)
    head = request_head("GET /live HTTP/1.1", "Host: localhost", "Content-Length: 4")
    event = json.dumps({"by": "later", "do": "hold"}).encode()
    invoking = request_head(
        "POST /2015-03-31/functions/sample-dev-work/invocations HTTP/1.1",
        "Host: localhost",
        f"Authorization: {SIGNED.format(service='lambda')}",
        f"Content-Length: {len(event)}",
    )
    with raw(gateway) as opened:
        opened.sendall(head + b"ab")
        assert answered(opened).startswith(b"HTTP/1.1 426 ")

        opened.sendall(b"cd" + invoking + event)
        [told] = gateway.recorder.wait(
            lambda told: told.kind == "work" and told.content["by"] == "later"
        )
        with raw(gateway) as idle:
            assert drained(idle) == b""
        told.release()

        assert answered(opened).startswith(b"HTTP/1.1 200 ")


@pytest.mark.proof
def test_sockets_over_the_limit_are_dropped(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts sockets of any kind."""
    monkeypatch.setattr(server, "OTHER_SOCKETS", 1)
    monkeypatch.setattr(gateway_module, "OTHER_SOCKETS", 1)
    gateway = start(max_connections=1)
    with raw(gateway) as first, raw(gateway) as second:
        with raw(gateway) as third:
            assert drained(third) == b""

        for opened in (first, second):
            opened.sendall(request_head("GET /live HTTP/1.1", "Host: localhost"))
            assert answered(opened).startswith(b"HTTP/1.1 426 ")
