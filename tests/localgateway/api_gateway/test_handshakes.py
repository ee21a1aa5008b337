"""Handshakes over real sockets."""

import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.localgateway.support import (
    PATIENCE,
    Gateway,
    ask,
    refused,
    upgrade_request,
)


@pytest.mark.parametrize("path", ["/", "/dev", "/live/more", "/livelier"])
def test_a_path_that_is_not_the_stage_is_refused_with_403(gateway: Gateway, path: str) -> None:
    """Only the stage's path exists; the body is API Gateway's own."""
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
    """`@connections` returns 410 until the function has responded."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        raw.sendall(upgrade_request("/live?hold=yes&by=open"))
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
def test_a_status_other_than_2xx_refuses_the_handshake(
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
    status: int,
    body: str,
) -> None:
    """A client sees the status of the function's response, or 502 for an invalid response.

    The log has one line about it, and none of uvicorn's.
    """
    known = len(gateway.recorder.all(lambda told: told.kind == "connect"))
    query = f"?answer={json.dumps(answer)}".replace(" ", "%20")

    seen = refused(gateway, query)
    # By the end of the next connection, the task of the refused handshake has ended, too.
    with gateway.client():
        gateway.recorder.wait(lambda told: told.kind == "connect", known + 2)

    assert seen[0] == status
    assert body in seen[1]
    assert [record.name for record in caplog.records] == ["localgateway.api_gateway.handshakes"]


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
    """An exception or a crash is 502, a timeout of the function 504; the next client is served."""
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
    """The header may have any case and be in either field."""
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


def test_a_client_that_leaves_before_it_is_refused_is_not_disconnected(gateway: Gateway) -> None:
    """A refused handshake has no `$disconnect`, even if the client has already left."""
    raw = socket.create_connection(("127.0.0.1", gateway.port))
    raw.sendall(upgrade_request("/live?hold=yes&by=refusal&raise=yes"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "refusal")

    raw.close()
    told.release()
    with gateway.opened() as (client, connection_id):
        client.close()
        gateway.recorder.ended(connection_id)

        assert not gateway.recorder.all(
            lambda seen: seen.kind == "disconnect" and seen.connection_id == told.connection_id
        )


def test_handshakes_over_the_limit_are_refused_with_429(start: Callable[..., Gateway]) -> None:
    """A connection that ends makes room for another."""
    gateway = start(max_connections=2)
    with gateway.opened() as (first, connection_id), gateway.client():
        status, body = refused(gateway, "")

        assert status == 429
        assert json.loads(body)["message"] == "Too Many Requests"
        first.close()
        gateway.recorder.ended(connection_id)
        assert _finds_room(gateway)


def test_an_environment_that_is_killed_during_connect_refuses_only_that_one(
    gateway: Gateway,
) -> None:
    """The handshake is refused with 502 and the environment is replaced."""
    raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
    raw.sendall(upgrade_request("/live?hold=yes&by=kill"))
    [told] = gateway.recorder.wait(lambda told: told.query.get("by") == "kill")

    os.kill(told.pid, signal.SIGKILL)

    assert raw.recv(1024).startswith(b"HTTP/1.1 502 ")
    with gateway.client() as client:
        assert ask(client, do="echo", text="next") == "next"
    raw.close()


def _finds_room(gateway: Gateway) -> bool:
    # The place is free a moment after the function has told of the end.
    while True:
        try:
            with gateway.client():
                return True
        except InvalidStatus as error:
            if error.response.status_code != 429:
                raise
