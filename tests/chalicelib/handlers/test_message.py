"""What clients are answered."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import app
from chalicelib.adapters import aws_clients as sdk
from chalicelib.domain.requests import parse
from chalicelib.handlers.message import reply
from tests.support.events import connect_event
from tests.support.lambda_context import Context

NOW_MS = 1731324924561


def message_event(body: str | None) -> dict[str, Any]:
    """Give the event of a message; API Gateway leaves an empty body out."""
    event = connect_event()
    context = {"routeKey": "$default", "eventType": "MESSAGE", "messageId": "NcWzvdQ2oAMCIhw="}
    return {
        "requestContext": event["requestContext"] | context,
        "isBase64Encoded": False,
        **({} if body is None else {"body": body}),
    }


@pytest.fixture
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that asks for any client or credentials of AWS."""

    def refuse() -> None:
        raise AssertionError("a service of AWS was asked for")

    monkeypatch.setattr(sdk, "session", refuse)


def send(body: str | None) -> dict[str, Any]:
    """Send a message and give what the client receives."""
    response = app.message(message_event(body), Context())
    assert response["statusCode"] == 200
    answer: dict[str, Any] = json.loads(response["body"])
    return answer


@pytest.mark.usefixtures("_no_services")
def test_a_ping_is_answered_with_the_time() -> None:
    """It keeps a connection from idling out, and neither reads nor writes anything."""
    before = time.time_ns() // 1_000_000

    answer = send('{"action": "ping"}')

    assert answer.keys() == {"type", "at"}
    assert answer["type"] == "pong"
    assert before <= answer["at"] <= time.time_ns() // 1_000_000


@pytest.mark.usefixtures("_no_services")
@pytest.mark.parametrize("body", [None, "", "hello", '{"action": "shout"}'])
def test_anything_else_is_told_what_is_accepted(body: str | None) -> None:
    """Neither reads nor writes anything either."""
    answer = send(body)

    assert answer["type"] == "error"
    assert answer["message"].endswith('; send {"action": "ping"}')


def replied(body: str) -> dict[str, Any]:
    """Give the answer for which nothing is read."""
    answer: dict[str, Any] = json.loads(reply(parse(body), NOW_MS))
    return answer


def test_the_settings_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting elsewhere does not make connections idle out."""
    monkeypatch.setenv("TTL_HOURS", "many")

    assert send('{"action": "ping"}')["type"] == "pong"


@pytest.mark.parametrize("body", ['{"action": "ping"}', ' {"action":"ping", "id": 7}\n'])
def test_more_fields_and_spaces_are_accepted(body: str) -> None:
    """A later client may say more."""
    assert replied(body) == {"type": "pong", "at": NOW_MS}


@pytest.mark.parametrize(
    "body",
    [
        "ping",
        '"ping"',
        "null",
        "[]",
        '["action", "ping"]',
        "{}",
        '{"action": "Ping"}',
        '{"action": ["ping"]}',
        '{"action": "ping"',
        '{"Action": "ping"}',
        "9" * 5000,
        "[" * 32_000,
    ],
)
def test_what_is_no_ping_is_an_error_that_shows_its_beginning(body: str) -> None:
    """However long, and however deeply nested."""
    answer = replied(body)

    assert answer["type"] == "error"
    assert answer["message"].startswith(f"unknown message {repr(body[:100])[:-1]}")
    assert len(answer["message"]) < 200


@given(st.text())
def test_any_text_has_an_answer(body: str) -> None:
    """Nobody can make the function fail."""
    assert replied(body)["type"] in {"pong", "error"}
