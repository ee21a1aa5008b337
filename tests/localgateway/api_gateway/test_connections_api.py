"""Behaviour of `@connections`, through boto3 where it can send the request."""

import http.client
import socket
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest

from localgateway import request_bodies
from tests.localgateway.support import (
    PATIENCE,
    SIGNED,
    Gateway,
    closed,
    request_head,
    upgrade_request,
)

UNKNOWN = "L0SM9cOFvHcCIhw="
SERVICE = "execute-api"


def request(gateway: Gateway, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    """Send a plain HTTP request and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Authorization": SIGNED.format(service=SERVICE)})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_post_reaches_the_client_as_text(gateway: Gateway) -> None:
    """The posted bytes arrive as a text message."""
    with gateway.opened() as (client, connection_id):
        answer = gateway.management().post_to_connection(
            ConnectionId=connection_id, Data="grüße".encode()
        )

        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert client.recv(timeout=PATIENCE) == "grüße"


@pytest.mark.parametrize(
    ("direction", "is_active"), [("to the client", False), ("from the client", True)]
)
def test_get_returns_identity_and_times(
    gateway: Gateway, direction: str, *, is_active: bool
) -> None:
    """Only messages of the client update `lastActiveAt`."""
    with gateway.opened(user_agent_header="Sample/2.0") as (client, connection_id):
        api = gateway.management()
        before = api.get_connection(ConnectionId=connection_id)

        if direction == "to the client":
            api.post_to_connection(ConnectionId=connection_id, Data=b"news")
            client.recv(timeout=PATIENCE)
        else:
            client.send('{"do": "nothing"}')
            gateway.recorder.wait(
                lambda told: told.kind == "message" and told.connection_id == connection_id
            )
        after = api.get_connection(ConnectionId=connection_id)

    assert before["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "Sample/2.0"}
    assert before["ConnectedAt"] == before["LastActiveAt"] == after["ConnectedAt"]
    assert (after["LastActiveAt"] > after["ConnectedAt"]) is is_active
    assert abs(datetime.now(UTC) - after["ConnectedAt"]) < timedelta(minutes=5)


def test_a_client_without_a_user_agent_has_an_empty_one(gateway: Gateway) -> None:
    """The identity always has both fields; the event omits the user agent."""
    with gateway.opened(user_agent_header=None) as (_, connection_id):
        found = gateway.management().get_connection(ConnectionId=connection_id)

    assert found["Identity"]["UserAgent"] == ""
    context = gateway.recorder.ended(connection_id)["requestContext"]
    assert context["identity"] == {"sourceIp": "127.0.0.1"}


def test_delete_closes_with_1000(gateway: Gateway) -> None:
    """Client and function both see a normal close."""
    with gateway.opened() as (client, connection_id):
        answer = gateway.management().delete_connection(ConnectionId=connection_id)

        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert closed(client)[0] == 1000
    context = gateway.recorder.ended(connection_id)["requestContext"]
    assert context["disconnectStatusCode"] == 1000
    assert context["disconnectReason"] == "Connection Closed Normally"


def test_a_connection_that_is_not_open_is_gone(gateway: Gateway) -> None:
    """Every operation returns 410 for an unknown id and for a closed connection."""
    with gateway.opened() as (_, closed_id):
        """Leave at once."""
    gateway.recorder.ended(closed_id)
    api = gateway.management()

    for connection_id in (closed_id, UNKNOWN):
        with pytest.raises(api.exceptions.GoneException) as raised:
            api.post_to_connection(ConnectionId=connection_id, Data=b"hello")
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410
        with pytest.raises(api.exceptions.GoneException):
            api.get_connection(ConnectionId=connection_id)
        with pytest.raises(api.exceptions.GoneException):
            api.delete_connection(ConnectionId=connection_id)


def test_a_connection_that_is_closing_is_gone(gateway: Gateway) -> None:
    """After the gateway's close frame, posts and deletions return 410."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        known = len(gateway.recorder.all(lambda told: told.kind == "connect"))
        raw.sendall(upgrade_request())
        told = gateway.recorder.wait(lambda told: told.kind == "connect", known + 1)[known]
        raw.recv(1024)
        api = gateway.management()
        api.delete_connection(ConnectionId=told.connection_id)

        with pytest.raises(api.exceptions.GoneException):
            api.delete_connection(ConnectionId=told.connection_id)
        with pytest.raises(api.exceptions.GoneException):
            api.post_to_connection(ConnectionId=told.connection_id, Data=b"late")


def test_a_post_may_be_128_kb_and_no_more(gateway: Gateway) -> None:
    """The largest message arrives whole, and one more byte is 413."""
    with gateway.opened(max_size=None) as (client, connection_id):
        api = gateway.management()

        api.post_to_connection(ConnectionId=connection_id, Data=b"x" * 128 * 1024)
        with pytest.raises(api.exceptions.PayloadTooLargeException) as raised:
            api.post_to_connection(ConnectionId=connection_id, Data=b"x" * (128 * 1024 + 1))

        assert client.recv(timeout=PATIENCE) == "x" * 128 * 1024
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_body_without_end_is_refused_before_it_has_come(gateway: Gateway) -> None:
    """The gateway stops reading a body that is far too large and closes the socket."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        raw.sendall(_post(length=100 * 1024 * 1024))

        raw.sendall(b"x" * 1_200_000)

        assert raw.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_an_incomplete_body_times_out(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stalls within its body receives 400 and is disconnected."""
    monkeypatch.setattr(request_bodies, "BODY_TIMEOUT", 0.2)

    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        raw.sendall(_post(length=10) + b"half")

        assert raw.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_a_body_that_is_cut_short_harms_no_other_caller(gateway: Gateway) -> None:
    """Other callers are served after one disconnects within its body."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as raw:
        raw.sendall(_post(length=10) + b"half")

    assert request(gateway, "GET", f"/live/@connections/{UNKNOWN}")[0] == 410


def test_a_body_that_is_not_text_is_refused(gateway: Gateway) -> None:
    """The body becomes a text message, so it must be UTF-8."""
    with gateway.opened() as (_, connection_id):
        path = f"/live/@connections/{urllib.parse.quote(connection_id)}"

        status, body = request(gateway, "POST", path, b"\xff\xfe")

    assert status == 400
    assert "not UTF-8" in body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 403),
        ("GET", "/dev/@connections/abc", 403),
        ("PUT", "/live/@connections/abc", 403),
        ("GET", "/live/@connections/", 403),
        ("GET", "/live", 426),
    ],
)
def test_other_requests_are_refused(gateway: Gateway, method: str, path: str, status: int) -> None:
    """Over HTTP, only `@connections` of the stage exists."""
    answer = request(gateway, method, path)

    assert answer[0] == status


def _post(length: int) -> bytes:
    return request_head(
        f"POST /live/@connections/{UNKNOWN} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: {SIGNED.format(service=SERVICE)}",
        f"Content-Length: {length}",
    )
