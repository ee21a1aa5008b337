"""What a hostile or clumsy client can and cannot do, over real sockets."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from botocore.config import Config
from websockets.frames import Frame, Opcode

from localgateway import gateway as gateway_module
from localgateway.api_gateway import http_protocol, server, websocket_protocol
from localgateway.api_gateway.websocket_protocol import ClientSocket
from tests.localgateway.support import (
    PATIENCE,
    SESSION,
    UPGRADE,
    Gateway,
    request_head,
)

CLOSE = Frame(Opcode.CLOSE, struct.pack("!H", 1000)).serialize(mask=True)


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
    with suppress(ConnectionResetError):
        while part := opened.recv(65536):
            read += part
    return read


def answered(opened: socket.socket) -> bytes:
    """Read an answer whose body is a JSON object."""
    read = b""
    while not read.endswith(b"}"):
        read += opened.recv(1024)
    return read


def serves(gateway: Gateway) -> bool:
    """Tell whether a well-behaved client is served."""
    with gateway.client() as client:
        client.send("hello")
        return client.recv(timeout=PATIENCE) == "not JSON: hello"


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
            request_head("GET /live HTTP/1.1", *UPGRADE, *(f"X-{n}: x" for n in range(200))),
            431,
            id="too many headers",
        ),
        pytest.param(
            request_head("GET /live HTTP/1.1", *UPGRADE, "X: " + "x" * 10_000),
            431,
            id="a long header",
        ),
        pytest.param(
            request_head(f"GET /live?{'x' * 10_000} HTTP/1.1", *UPGRADE),
            414,
            id="a long address",
        ),
    ],
)
def test_a_garbage_handshake_is_refused_and_dropped(
    gateway: Gateway, sent: bytes, status: int
) -> None:
    """What is no handshake is answered with the reason, and its socket closed."""
    with raw(gateway) as opened:
        opened.sendall(sent)

        assert drained(opened).startswith(f"HTTP/1.1 {status} ".encode())
    assert serves(gateway)


@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_socket_without_a_whole_head_is_dropped_in_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Half-open sockets and heads that never end do not stay."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)

    with raw(gateway) as opened:
        opened.sendall(sent)

        assert drained(opened) == b""


def test_a_later_head_on_the_same_socket_is_limited_as_well(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first good request buys no time for the second."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)
    with raw(gateway) as opened:
        opened.sendall(request_head("GET /live HTTP/1.1", "Host: x"))
        assert answered(opened).startswith(b"HTTP/1.1 426 ")

        opened.sendall(b"GET /live HTTP/1.1\r\nX-Slow: ")

        assert drained(opened) == b""


def test_sockets_over_the_limit_are_dropped(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets of any kind are bounded in number."""
    monkeypatch.setattr(server, "OTHER_SOCKETS", 1)
    monkeypatch.setattr(gateway_module, "OTHER_SOCKETS", 1)
    gateway = start(max_connections=1)
    with raw(gateway) as first, raw(gateway) as second:
        with raw(gateway) as third:
            assert drained(third) == b""

        for opened in (first, second):
            opened.sendall(request_head("GET /live HTTP/1.1", "Host: x"))
            assert answered(opened).startswith(b"HTTP/1.1 426 ")


def test_a_broken_frame_closes_with_1002(gateway: Gateway) -> None:
    """A frame that no client may send fails the connection, whatever comes after it."""
    with raw(gateway) as opened:
        connection_id = _open(gateway, opened)

        opened.sendall(b"\x81\x05hello")
        frame = drained(opened)
        opened.sendall(b"x" * 1000)

    assert struct.pack("!H", 1002) in frame
    context = gateway.recorder.ended(connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1002


def test_a_broken_frame_before_the_upgrade_is_dropped(gateway: Gateway) -> None:
    """A client that sends frames before it is answered must at least send good ones."""
    with raw(gateway) as opened:
        opened.sendall(request_head("GET /live?hold=yes&by=early HTTP/1.1", *UPGRADE))
        [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "early")

        opened.sendall(b"\x81\x05hello")

        assert drained(opened) == b""
    told.release()
    context = gateway.recorder.ended(told.connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1006


@pytest.mark.parametrize("by", ["a back end", "itself"])
def test_a_slow_reader_is_bounded_and_dropped_when_closed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Posts are refused with 429 once too much waits for a client; closing does not wait for it."""
    monkeypatch.setattr(websocket_protocol, "CLOSE_TIMEOUT", 0.2)
    lost = threading.Event()
    connection_lost = ClientSocket.connection_lost

    def note(self: ClientSocket, exc: Exception | None) -> None:
        connection_lost(self, exc)
        if self.client == stuck:
            lost.set()

    api = gateway.management()
    with raw(gateway, receive_buffer=4096) as opened:
        connection_id = _open(gateway, opened)

        with pytest.raises(api.exceptions.LimitExceededException) as raised:
            _post_for_ever(gateway, connection_id)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429

        assert serves(gateway)
        stuck = opened.getsockname()
        monkeypatch.setattr(ClientSocket, "connection_lost", note)
        if by == "itself":
            opened.sendall(CLOSE)
        else:
            api.delete_connection(ConnectionId=connection_id)
        assert lost.wait(PATIENCE)
        assert not drained(opened).endswith(b"\x88\x02" + struct.pack("!H", 1000))
    gateway.recorder.ended(connection_id)


def test_pings_of_a_client_that_does_not_read_are_not_kept(gateway: Gateway) -> None:
    """Pongs that cannot be sent are dropped, not collected."""
    ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
    number = 60_000
    with raw(gateway, receive_buffer=4096) as opened:
        connection_id = _open(gateway, opened)

        for _ in range(number // 100):
            opened.sendall(ping * 100)
        opened.sendall(CLOSE)
        gateway.recorder.ended(connection_id)

        assert len(drained(opened)) < number * len(ping) / 2
    assert serves(gateway)


def _open(gateway: Gateway, opened: socket.socket) -> str:
    known = len(gateway.recorder.all(lambda told: told.kind == "connect"))
    opened.sendall(request_head("GET /live HTTP/1.1", *UPGRADE))
    told = gateway.recorder.wait(lambda told: told.kind == "connect", known + 1)[known]
    assert opened.recv(12) == b"HTTP/1.1 101"
    connection_id: str = told.connection_id
    return connection_id


def _post_for_ever(gateway: Gateway, connection_id: str) -> None:
    api = SESSION.client(
        "apigatewaymanagementapi",
        endpoint_url=f"http://{gateway.address}",
        config=Config(retries={"total_max_attempts": 1}),
    )
    while True:
        api.post_to_connection(ConnectionId=connection_id, Data=b"x" * 100_000)
