"""The life of a connection, over real sockets."""

import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localgateway.support import (
    PATIENCE,
    Gateway,
    Recorder,
    ask,
    running,
    upgrade_request,
)


def test_the_events_of_a_connection_agree(gateway: Gateway) -> None:
    """All three events have the same connection id and time of opening."""
    with gateway.opened() as (client, connection_id):
        ask(client, do="echo", text="hello")
        client.close()
        gateway.recorder.ended(connection_id)

        about = gateway.recorder.all(
            lambda told: "requestContext" in told.content and told.connection_id == connection_id
        )
        contexts = [told.content["requestContext"] for told in about]
        assert [context["routeKey"] for context in contexts] == [
            "$connect",
            "$default",
            "$disconnect",
        ]
        assert len({context["connectedAt"] for context in contexts}) == 1
        assert len({context["requestId"] for context in contexts}) == 3
        assert about[1].content["body"] == json.dumps({"do": "echo", "text": "hello"})
        assert contexts[1]["messageId"]
        assert "queryStringParameters" not in about[2].content


@pytest.mark.parametrize(
    ("code", "reason", "reported"),
    [
        (1000, "", (1000, "Connection Closed Normally")),
        (1000, "bye", (1000, "bye")),
        (1001, "", (1001, "Going away")),
        (4321, "", (4321, "")),
        (4999, "our own", (4999, "our own")),
        (None, "", (1005, "Client-side close frame status not set")),
    ],
)
def test_a_client_that_closes_is_reported_with_its_code_and_reason(
    gateway: Gateway, code: int | None, reason: str, reported: tuple[int, str]
) -> None:
    """The function sees the client's code and reason, or API Gateway's text for the code."""
    with gateway.opened() as (client, connection_id):
        with client.send_context():
            client.protocol.send_close(code, reason)
        client.close()

        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == reported


@pytest.mark.parametrize("reset", [False, True], ids=["end of stream", "reset"])
def test_a_lost_connection_is_reported_with_1006(gateway: Gateway, reset: bool) -> None:
    """1006 means that the connection was lost without a close frame."""
    with gateway.opened() as (client, connection_id):
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.shutdown(socket.SHUT_RDWR) if not reset else client.socket.close()

        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (
            1006,
            "Connection closed abnormally",
        )


def test_a_client_that_leaves_while_connect_runs_is_disconnected_once(gateway: Gateway) -> None:
    """A `$connect` that succeeded is always followed by a `$disconnect`."""
    raw = socket.create_connection(("127.0.0.1", gateway.port))
    raw.sendall(upgrade_request("/live?hold=yes&by=vanish"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "vanish")

    raw.close()
    told.release()

    context = gateway.recorder.ended(told.connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1006


def test_a_failed_disconnect_harms_no_other_connection(gateway: Gateway) -> None:
    """A failed `$disconnect` is logged only."""
    with gateway.opened() as (client, connection_id):
        client.close(4000, "raise")
        gateway.recorder.ended(connection_id)

        with gateway.client() as other:
            assert ask(other, do="echo", text="next") == "next"


def test_a_share_of_disconnects_is_dropped_as_asked(start: Callable[..., Gateway]) -> None:
    """With a share of 1 no `$disconnect` is delivered."""
    gateway = start(drop_disconnects=1.0)
    connection_ids = set()

    for _ in range(3):
        with gateway.opened() as (_, connection_id):
            connection_ids.add(connection_id)
    gateway.stop()

    assert not gateway.recorder.all(
        lambda told: told.kind == "disconnect" and told.connection_id in connection_ids
    )


@pytest.mark.parametrize(("handler", "reply"), [("connect", "Forbidden"), ("message", "answered")])
def test_an_api_may_lack_routes(
    tmp_path: Path, recorder: Recorder, handler: str, reply: str
) -> None:
    """Without `$connect` every handshake succeeds; without a route a message is refused."""
    config = {"version": "2.0", "app_name": "partial", "stages": {"dev": {}}}
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(config))
    (tmp_path / "app.py").write_text(
        "from chalice.app import Chalice\napp = Chalice('partial')\n"
        "app.experimental_feature_flags.update(['WEBSOCKETS'])\n"
        f"@app.on_ws_{handler}()\ndef handle(event):\n"
        "    return {'statusCode': 200, 'body': '{\"message\": \"answered\"}'}\n"
    )

    with (
        running(tmp_path, recorder, route_responses="all") as gateway,
        gateway.client() as client,
    ):
        client.send("hello")

        assert json.loads(client.recv(timeout=PATIENCE))["message"] == reply
