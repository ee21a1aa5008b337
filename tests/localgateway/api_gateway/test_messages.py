"""Messages over real sockets."""

import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from localgateway.api_gateway import messages, responses
from tests.localgateway.support import (
    PATIENCE,
    Gateway,
    Told,
    ask,
    closed,
)


def test_an_exception_in_a_message_is_answered_and_the_connection_stays(gateway: Gateway) -> None:
    """The client receives `Internal server error` and stays connected."""
    with gateway.opened() as (client, connection_id):
        answers = [json.loads(ask(client, do=what)) for what in ("raise", "exit", "large")]

        assert [answer["message"] for answer in answers] == ["Internal server error"] * 3
        assert {answer["connectionId"] for answer in answers} == {connection_id}
        assert ask(client, do="echo", text="still here") == "still here"
        client.close()


def test_a_hung_message_times_out_without_delaying_other_connections(
    gateway: Gateway,
) -> None:
    """The function's timeout is enforced; other connections are served meanwhile."""
    with gateway.opened() as (stuck, _):
        stuck.send(json.dumps({"do": "hang"}))
        gateway.recorder.wait(
            lambda told: told.kind == "message" and '"hang"' in told.content["body"]
        )

        with gateway.client() as other:
            answer = ask(other, do="echo", text="quick")

        assert answer == "quick"
        assert json.loads(stuck.recv(timeout=PATIENCE))["message"] == "Internal server error"
        stuck.close()


def test_a_message_over_the_integration_timeout_is_answered(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API Gateway waits for 29 s, here for 0.5 s; the function runs on, the connection stays."""
    for module in (messages, responses):
        monkeypatch.setattr(module, "INTEGRATION_TIMEOUT", 0.5)
    with gateway.opened() as (client, connection_id):
        client.send(json.dumps({"do": "hold", "by": "a slow one"}))
        [held] = gateway.recorder.wait(
            lambda told: told.kind == "held" and told.content == connection_id
        )

        answer = json.loads(client.recv(timeout=PATIENCE))
        held.release()
        monkeypatch.undo()

        assert answer.keys() == {"message", "connectionId", "requestId"}
        assert answer["message"] == "Endpoint request timed out"
        assert answer["connectionId"] == connection_id
        assert ask(client, do="echo", text="still here") == "still here"
        client.close()


def test_text_that_is_not_json_goes_to_the_default_route(gateway: Gateway) -> None:
    """The fragments of a message are joined first."""
    with gateway.client() as client:
        client.send(iter(["not ", "json"]))

        assert client.recv(timeout=PATIENCE) == "not JSON: not json"


def test_a_binary_message_closes_with_1003(gateway: Gateway) -> None:
    """API Gateway does not support binary frames."""
    with gateway.opened() as (client, connection_id):
        client.send(b"\x00\x01")

        assert closed(client)[0] == 1003
        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert context["disconnectStatusCode"] == 1003


@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param([32 * 1024 + 1], id="a frame"),
        pytest.param([32 * 1024] * 4 + [1], id="a message"),
    ],
)
def test_a_frame_over_32_kb_or_a_message_over_128_kb_closes_with_1009(
    gateway: Gateway, fragments: list[int]
) -> None:
    """The client receives the close frame although it is still sending."""
    with gateway.opened() as (client, connection_id):
        with contextlib.suppress(ConnectionClosed):
            client.send(iter(["x" * size for size in fragments]))

        assert closed(client)[0] == 1009
        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (
            1009,
            "Message too big",
        )


def test_a_message_of_128_kb_in_frames_of_32_kb_is_served(gateway: Gateway) -> None:
    """The largest message reaches its function whole."""
    with gateway.opened() as (client, connection_id):
        client.send(iter(["x" * 32 * 1024] * 4))
        assert client.recv(timeout=PATIENCE) == f"not JSON: {'x' * 20}"

        [told] = gateway.recorder.all(
            lambda told: told.kind == "message" and told.connection_id == connection_id
        )
        assert told.content["body"] == "x" * 128 * 1024
        client.close()


def test_text_that_is_not_utf_8_closes_with_1007(gateway: Gateway) -> None:
    """Text must be UTF-8."""
    with gateway.opened() as (client, connection_id):
        with client.send_context():
            client.protocol.send_frame(Frame(Opcode.TEXT, b"\xff\xfe"))

        assert closed(client)[0] == 1007
        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert context["disconnectStatusCode"] == 1007


def test_messages_of_one_connection_are_bounded(gateway: Gateway) -> None:
    """The gateway stops reading from a client that sends too fast, without losing messages."""
    with gateway.opened() as (client, connection_id):
        for _ in range(12):
            client.send(json.dumps({"do": "hold", "by": connection_id}))

        def held(told: Told) -> bool:
            return told.kind == "held" and told.content == connection_id

        gateway.recorder.wait(held, 2)
        client.protocol.send_close(1000)
        client.socket.sendall(b"".join(client.protocol.data_to_send()))

        api = gateway.management()
        for _ in range(20):
            api.get_connection(ConnectionId=connection_id)

        for number in range(12):
            gateway.recorder.wait(held, number + 1)[number].release()
    context = gateway.recorder.ended(connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1000
