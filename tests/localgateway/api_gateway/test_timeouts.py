"""Idle timeout and maximum duration."""

import contextlib
import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from localgateway.api_gateway.timeouts import Timeouts, expires_at
from tests.localgateway.support import PATIENCE, Gateway

TIMEOUTS = Timeouts(idle=600, duration=7200)


@pytest.mark.parametrize(
    ("opened", "last_active", "moment"),
    [(0, 0, 600), (0, 599, 1199), (0, 6600, 7200), (0, 7100, 7200), (50, 50, 650)],
)
def test_a_connection_expires_at_the_earlier_of_both_limits(
    opened: float, last_active: float, moment: float
) -> None:
    """Messages restart the idle timeout, but do not extend the maximum duration."""
    assert expires_at(opened, last_active, TIMEOUTS) == moment


def test_an_idle_connection_closes_with_1001(hasty: Gateway) -> None:
    """Client and function both see 1001."""
    with hasty.opened() as (client, connection_id):
        for _ in client:
            """Nothing comes but the end."""

    assert (client.close_code, client.close_reason) == (1001, "Going away")
    context = hasty.recorder.ended(connection_id)["requestContext"]
    assert (context["disconnectStatusCode"], context["disconnectReason"]) == (1001, "Going away")


def test_a_ping_does_not_restart_the_idle_timeout(hasty: Gateway) -> None:
    """Only messages restart the idle timeout."""
    with hasty.opened() as (client, connection_id):
        with contextlib.suppress(ConnectionClosed):
            while client.ping(ack_on_close=True).wait(PATIENCE):
                """Ping again."""
        context = hasty.recorder.ended(connection_id)["requestContext"]

    assert context["disconnectStatusCode"] == 1001
    assert context["requestTimeEpoch"] - context["connectedAt"] < 6000


@pytest.mark.proof
def test_a_busy_connection_closes_at_its_maximum_duration(hasty: Gateway) -> None:
    """Messages in either direction keep a connection open, up to the maximum duration."""
    with hasty.client() as client, contextlib.suppress(ConnectionClosed):
        client.send("hello")  # the first answer may come later than the idle timeout
        client.recv(timeout=PATIENCE)
    with hasty.opened() as (asking, asking_id), hasty.opened() as (listening, listening_id):
        with contextlib.suppress(ConnectionClosed):
            for _ in _exchange(hasty, asking, listening_id):
                asking.recv(timeout=PATIENCE)
        for _ in listening:
            """Read what was posted to it."""

    assert (asking.close_code, listening.close_code) == (1001, 1001)
    for connection_id in (asking_id, listening_id):
        context = hasty.recorder.ended(connection_id)["requestContext"]
        assert context["requestTimeEpoch"] - context["connectedAt"] >= 5990


def _exchange(gateway: Gateway, asking: ClientConnection, listening_id: str) -> Iterator[None]:
    api = gateway.management()
    while True:
        asking.send(json.dumps({"do": "echo", "text": "busy"}))
        with contextlib.suppress(api.exceptions.GoneException):
            api.post_to_connection(ConnectionId=listening_id, Data=b"busy")
        yield
