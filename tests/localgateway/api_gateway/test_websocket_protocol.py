"""Hostile and broken WebSocket clients, over real sockets."""

import contextlib
import select
import socket
import struct
import threading

import pytest
from botocore.config import Config
from websockets.frames import Frame, Opcode

from localgateway.api_gateway import websocket_protocol
from localgateway.api_gateway.websocket_protocol import ClientSocket
from tests.localgateway.support import (
    PATIENCE,
    SESSION,
    UPGRADE,
    Gateway,
    drained,
    raw,
    request_head,
    serves,
)

CLOSE = Frame(Opcode.CLOSE, struct.pack("!H", 1000)).serialize(mask=True)


def test_a_broken_frame_closes_with_1002(gateway: Gateway) -> None:
    """An invalid frame fails the connection; later data is ignored."""
    with raw(gateway) as opened:
        connection_id = _open(gateway, opened)

        opened.sendall(b"\x81\x05hello")
        frame = drained(opened)
        opened.sendall(b"x" * 1000)

    assert struct.pack("!H", 1002) in frame
    context = gateway.recorder.ended(connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1002


def test_a_broken_frame_before_the_upgrade_is_dropped(gateway: Gateway) -> None:
    """Frames before the upgrade must be valid, too."""
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
    """Posts return 429 once too much data waits for the client; closing does not wait for it."""
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
    """Pongs that cannot be sent are dropped."""
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


def test_fragments_without_end_are_bounded(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty ones are not kept; the bytes of the others count towards the size of the message."""
    kept: list[int] = []
    joined = ClientSocket.send_receive_event_to_app

    def note(self: ClientSocket) -> None:
        kept.append(len(self.frames))
        joined(self)

    monkeypatch.setattr(ClientSocket, "send_receive_event_to_app", note)
    empty = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    with raw(gateway) as opened:
        connection_id = _open(gateway, opened)

        opened.sendall(Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True))
        for _ in range(100):
            opened.sendall(empty * 1000)
        opened.sendall(Frame(Opcode.CONT, b"b").serialize(mask=True))
        [told] = gateway.recorder.wait(
            lambda told: told.kind == "message" and told.connection_id == connection_id
        )
        opened.sendall(CLOSE)
        drained(opened)

    assert told.content["body"] == "ab"
    assert kept == [2]


@pytest.mark.proof
def test_fragments_do_not_restart_the_idle_timeout(hasty: Gateway) -> None:
    """Only a whole message does, so a message without end does not keep a connection open."""
    empty = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    with raw(hasty) as opened:
        connection_id = _open(hasty, opened)
        opened.recv(4096)  # the rest of the response

        opened.sendall(Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True))
        with contextlib.suppress(ConnectionError):
            while not select.select([opened], [], [], 0.05)[0]:
                opened.sendall(empty)

    context = hasty.recorder.ended(connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1001


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
