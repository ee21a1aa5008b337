"""Behaviour of WebSocket connections, over real sockets."""

import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.localgateway.support import PATIENCE, Gateway, Told


def refused(gateway: Gateway, query: str) -> tuple[int, str]:
    """Try to connect, and give the status and body of the refusal."""
    with pytest.raises(InvalidStatus) as raised, gateway.client(query):
        pass
    response = raised.value.response
    return response.status_code, (response.body or b"").decode()


def closed(client: ClientConnection) -> tuple[int, str]:
    """Wait until the gateway closes a connection, and give the code and reason of its frame."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=PATIENCE)
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


def ask(client: ClientConnection, **asked: Any) -> Any:
    """Send a message to the sample app and wait for its reply."""
    client.send(json.dumps(asked))
    return client.recv(timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/", "/dev", "/live/more", "/livelier"])
def test_a_path_that_is_not_the_stage_is_refused_with_403(gateway: Gateway, path: str) -> None:
    """Only the API Gateway stage has an address, and the body is API Gateway's own."""
    url = f"ws://127.0.0.1:{gateway.port}{path}"

    with pytest.raises(InvalidStatus) as raised, connect(url):
        pass

    assert raised.value.response.status_code == 403
    assert raised.value.response.body is not None
    assert json.loads(raised.value.response.body)["message"] == "Forbidden"


def test_the_stage_may_end_with_a_slash(gateway: Gateway) -> None:
    """`/live/` is the same address as `/live`."""
    url = f"{gateway.url}/"

    with connect(url) as client:
        assert ask(client, do="echo", text="hello") == "hello"


def test_connect_runs_before_the_upgrade(gateway: Gateway) -> None:
    """A connection opens only once its function has answered, and is unknown until then."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        raw.sendall(_request("/live?hold=yes&by=open"))
        [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "open")
        management = gateway.management()

        with pytest.raises(management.exceptions.GoneException):
            management.post_to_connection(ConnectionId=told.connection_id, Data=b"too early")

        raw.setblocking(False)
        with pytest.raises(BlockingIOError):
            raw.recv(1)
        raw.settimeout(PATIENCE)
        told.release()
        assert raw.recv(1024).startswith(b"HTTP/1.1 101 ")
        management.post_to_connection(ConnectionId=told.connection_id, Data=b"in time")
        assert raw.recv(1024) == b"\x81\x07in time"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"statusCode": 401, "body": "who are you"}, 401, "who are you"),
        ({"statusCode": "429"}, 429, "Too Many Requests"),
        ({"statusCode": 302}, 302, "Found"),
        ({"statusCode": 503}, 503, "Internal server error"),
        ({"statusCode": 599, "body": ""}, 599, "Internal server error"),
        ({"statusCode": 100}, 502, "Internal server error"),
        ({"statusCode": "okay"}, 502, "Internal server error"),
        ({"statusCode": None}, 502, "Internal server error"),
        (
            {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "a b"}},
            502,
            "Internal server error",
        ),
    ],
)
def test_another_answer_than_2xx_refuses_the_handshake(
    gateway: Gateway, answer: dict[str, Any], status: int, body: str
) -> None:
    """A client sees the status of its function, and 502 for what is no answer."""
    query = f"?answer={json.dumps(answer)}".replace(" ", "%20")

    seen = refused(gateway, query)

    assert seen[0] == status
    assert body in seen[1]


@pytest.mark.parametrize("status", [200, 204, "201"])
def test_any_2xx_opens_the_connection(gateway: Gateway, status: object) -> None:
    """The connection opens for 200 to 299, as a number or a string of digits."""
    query = f"?answer={json.dumps({'statusCode': status})}".replace(" ", "%20")

    with gateway.client(query) as client:
        assert ask(client, do="echo", text="open") == "open"


@pytest.mark.parametrize(
    ("query", "status"), [("?raise=yes", 502), ("?exit=yes", 502), ("?sleep=yes", 504)]
)
def test_a_function_that_fails_refuses_the_handshake(
    gateway: Gateway, query: str, status: int
) -> None:
    """An exception or a crash is 502, a function past its own timeout 504; the next is served."""
    seen, body = refused(gateway, query)

    assert seen == status
    assert json.loads(body).keys() == {"message", "connectionId", "requestId"}
    with gateway.client() as client:
        assert ask(client, do="echo", text="next") == "next"


@pytest.mark.parametrize(
    "headers",
    [
        {"headers": {"sec-websocket-protocol": "second"}},
        {"multiValueHeaders": {"Sec-WebSocket-Protocol": ["second"]}},
    ],
)
def test_the_subprotocol_of_the_function_reaches_the_client(
    gateway: Gateway, headers: dict[str, Any]
) -> None:
    """The function selects the subprotocol, with a header of any case and of either field."""
    query = f"?answer={json.dumps({'statusCode': 200, **headers})}".replace(" ", "%20")
    offered = [Subprotocol("first"), Subprotocol("second")]

    with gateway.client(query, subprotocols=offered) as client:
        assert client.subprotocol == "second"


def test_a_connect_event_has_what_the_client_sent(gateway: Gateway) -> None:
    """Headers keep their spelling, all values and their order; hop-by-hop headers are left out."""
    sent = [("X-Twice", "one"), ("x-twice", "two"), ("Keep-Alive", "5"), ("Proxy-Thing", "p")]

    with gateway.opened(
        "?a=1&a=2&b=%C3%A9+e&c", additional_headers=sent, user_agent_header="Sample/1.0"
    ) as (client, connection_id):
        client.close()

        [told] = gateway.recorder.wait(
            lambda told: told.kind == "connect" and told.connection_id == connection_id
        )
        event = told.content
        assert event["headers"]["X-Twice"] == "two"
        assert event["multiValueHeaders"]["X-Twice"] == ["one", "two"]
        assert event["headers"]["Host"] == f"127.0.0.1:{gateway.port}"
        assert "Sec-WebSocket-Key" in event["headers"]
        assert not {"Connection", "Upgrade", "Keep-Alive", "Proxy-Thing"} & event["headers"].keys()
        assert event["queryStringParameters"] == {"a": "2", "b": "é e", "c": ""}
        assert event["multiValueQueryStringParameters"] == {
            "a": ["1", "2"],
            "b": ["é e"],
            "c": [""],
        }
        identity = event["requestContext"]["identity"]
        assert identity == {"sourceIp": "127.0.0.1", "userAgent": "Sample/1.0"}


def test_the_events_of_a_connection_agree(gateway: Gateway) -> None:
    """Connect, message and disconnect speak of the same connection, opened at the same time."""
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


def test_an_exception_in_a_message_is_answered_and_the_connection_stays(gateway: Gateway) -> None:
    """A client is told of an internal error, and may go on."""
    with gateway.opened() as (client, connection_id):
        answers = [json.loads(ask(client, do=what)) for what in ("raise", "exit", "large")]

        assert [answer["message"] for answer in answers] == ["Internal server error"] * 3
        assert {answer["connectionId"] for answer in answers} == {connection_id}
        assert ask(client, do="echo", text="still here") == "still here"
        client.close()


def test_a_hung_message_is_answered_when_its_time_is_over_and_delays_nobody(
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


def test_text_that_is_not_json_goes_to_the_default_route(gateway: Gateway) -> None:
    """The route is selected by the body, and `$default` takes the rest, fragments joined."""
    with gateway.client() as client:
        client.send(iter(["not ", "json"]))

        assert client.recv(timeout=PATIENCE) == "not JSON: not json"


def test_a_binary_message_closes_with_1003(gateway: Gateway) -> None:
    """API Gateway takes no binary frames."""
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
    """The client gets the close frame although it is still sending."""
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


def test_broken_text_closes_with_1007(gateway: Gateway) -> None:
    """Text that is not UTF-8 is a broken message."""
    with gateway.opened() as (client, connection_id):
        with client.send_context():
            client.protocol.send_frame(Frame(Opcode.TEXT, b"\xff\xfe"))

        assert closed(client)[0] == 1007
        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert context["disconnectStatusCode"] == 1007


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
    """The function sees what the client's close frame said, or API Gateway's words for it."""
    with gateway.opened() as (client, connection_id):
        with client.send_context():
            client.protocol.send_close(code, reason)
        client.close()

        context = gateway.recorder.ended(connection_id)["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == reported


@pytest.mark.parametrize("reset", [False, True], ids=["end of stream", "reset"])
def test_a_client_that_vanishes_is_reported_with_1006(gateway: Gateway, reset: bool) -> None:
    """A connection that is lost without a close frame is an abnormal one."""
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
    raw.sendall(_request("/live?hold=yes&by=vanish"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "vanish")

    raw.close()
    told.release()

    context = gateway.recorder.ended(told.connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1006


def test_a_client_that_leaves_before_it_is_refused_is_not_disconnected(gateway: Gateway) -> None:
    """A refused handshake has no `$disconnect`, whether the client still listens or not."""
    raw = socket.create_connection(("127.0.0.1", gateway.port))
    raw.sendall(_request("/live?hold=yes&by=refusal&raise=yes"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "refusal")

    raw.close()
    told.release()
    with gateway.opened() as (client, connection_id):
        client.close()
        gateway.recorder.ended(connection_id)

        assert not gateway.recorder.all(
            lambda seen: seen.kind == "disconnect" and seen.connection_id == told.connection_id
        )


def test_a_disconnect_that_fails_hurts_nobody(gateway: Gateway) -> None:
    """What `$disconnect` does is ignored."""
    with gateway.opened() as (client, connection_id):
        client.close(4000, "raise")
        gateway.recorder.ended(connection_id)

        with gateway.client() as other:
            assert ask(other, do="echo", text="next") == "next"


def test_messages_of_one_connection_are_bounded(gateway: Gateway) -> None:
    """A client that sends faster than it is served is read no further, and still served whole."""
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


def test_handshakes_over_the_limit_are_refused_with_429(start: Callable[..., Gateway]) -> None:
    """A gateway holds as many connections as it was told to, and another once one has left."""
    gateway = start(max_connections=2)
    with gateway.opened() as (first, connection_id), gateway.client():
        status, body = refused(gateway, "")

        assert status == 429
        assert json.loads(body)["message"] == "Too Many Requests"
        first.close()
        gateway.recorder.ended(connection_id)
        assert _finds_room(gateway)


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


def test_an_environment_that_is_killed_during_connect_refuses_only_that_one(
    gateway: Gateway,
) -> None:
    """The handshake is answered with 502 and the environment replaced."""
    raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
    raw.sendall(_request("/live?hold=yes&by=kill"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "kill")

    os.kill(told.pid, signal.SIGKILL)

    assert raw.recv(1024).startswith(b"HTTP/1.1 502 ")
    with gateway.client() as client:
        assert ask(client, do="echo", text="next") == "next"
    raw.close()


def _request(target: str) -> bytes:
    lines = (
        f"GET {target} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _finds_room(gateway: Gateway) -> bool:
    # The place is free a moment after the function has told of the end.
    while True:
        try:
            with gateway.client():
                return True
        except InvalidStatus as error:
            if error.response.status_code != 429:
                raise
