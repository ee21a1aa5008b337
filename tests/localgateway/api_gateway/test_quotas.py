"""API Gateway's quotas, at both sides of each; sizes of messages are in test_messages.py."""

import json
from collections.abc import Callable

import pytest

from localgateway.api_gateway.handshakes import Allowance
from localgateway.api_gateway.quotas import HEAD_LIMIT, URL_LENGTH
from tests.localgateway.support import (
    PATIENCE,
    UPGRADE,
    Gateway,
    ask,
    raw,
    refused,
    request_head,
)


def test_a_url_has_at_most_4096_characters(gateway: Gateway) -> None:
    """One more is refused with 414; scheme and domain count."""
    rest = URL_LENGTH - len(gateway.url) - 1

    with gateway.client(f"?{'x' * rest}") as client:
        assert ask(client, do="echo", text="open") == "open"
    assert refused(gateway, f"?{'x' * (rest + 1)}")[0] == 414


@pytest.mark.parametrize(("more", "status"), [(0, b"101"), (1, b"431")])
def test_a_request_header_has_at_most_16_kb(gateway: Gateway, more: int, status: bytes) -> None:
    """In one long line, which reaches the function whole."""
    head = request_head("GET /live HTTP/1.1", *UPGRADE, "X-Long: ")
    long = head.replace(b"X-Long: ", b"X-Long: " + b"x" * (HEAD_LIMIT - len(head) + more))
    with raw(gateway) as opened:
        opened.sendall(long)

        assert opened.recv(12) == b"HTTP/1.1 " + status


def test_there_may_be_many_headers(gateway: Gateway) -> None:
    """Only their size is limited."""
    with gateway.opened(additional_headers={f"X-{n}": "x" for n in range(900)}) as (_, opened):
        [told] = gateway.recorder.all(
            lambda told: told.kind == "connect" and told.connection_id == opened
        )
    assert told.content["headers"]["X-899"] == "x"


@pytest.mark.proof
def test_handshakes_a_second_are_limited(start: Callable[..., Gateway]) -> None:
    """Beyond `--connect-rate`, a handshake is refused with 429 before any function runs."""
    gateway = start(connect_rate=0.001)

    with gateway.client() as client:
        assert ask(client, do="echo", text="open") == "open"
    assert refused(gateway, "")[0] == 429


@pytest.mark.parametrize(
    ("rate", "times", "taken"),
    [
        (None, [0, 0, 0], [True, True, True]),
        (2, [0, 0, 0, 0.4, 0.5, 0.6], [True, True, False, False, True, False]),
        (2, [0, 0, 100, 100, 100], [True, True, True, True, False]),
        (0.5, [0, 1, 2, 3, 4], [True, False, True, False, True]),
    ],
)
def test_an_allowance_fills_up_with_time(
    rate: float | None, times: list[float], taken: list[bool]
) -> None:
    """Up to one second's worth may come at once."""
    allowance = Allowance(rate)

    assert [allowance.take(at) for at in times] == taken


@pytest.mark.proof
@pytest.mark.parametrize(
    ("chosen", "replies"), [("template", True), ("all", True), ("none", False)]
)
def test_a_reply_needs_a_route_response(
    start: Callable[..., Gateway], chosen: str, replies: bool
) -> None:
    """Errors reach the client in any case."""
    gateway = start(route_responses=chosen)

    with gateway.client() as client:
        client.send(json.dumps({"do": "echo", "text": "a reply"}))
        client.send(json.dumps({"do": "raise"}))
        got = {client.recv(timeout=PATIENCE) for _ in range(2 if replies else 1)}

    assert ("a reply" in got) is replies
    assert any("Internal server error" in text for text in got)
