"""What API Gateway makes of the answers of functions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgateway.answers import (
    Accepted,
    Failed,
    Outcome,
    Refused,
    Returned,
    TimedOut,
    admit,
    failure,
    reply,
    select_route,
)
from localgateway.events import Occasion

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OCCASION = Occasion("NcWzvE4IIAMFUgQ=", 0)


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (Returned({"statusCode": 200}), Accepted()),
        (Returned({"statusCode": 299, "headers": None}), Accepted()),
        (Returned({"statusCode": "204"}), Accepted()),
        (
            Returned({"statusCode": 200, "headers": {"SEC-websocket-protocol": "chat"}}),
            Accepted("chat"),
        ),
        (
            Returned(
                {"statusCode": 200, "multiValueHeaders": {"Sec-WebSocket-Protocol": ["chat"]}}
            ),
            Accepted("chat"),
        ),
        (Returned({"statusCode": 403}), Refused(403, "the function's answer")),
        (
            Returned({"statusCode": 401, "body": "no"}),
            Refused(401, "the function's answer", "no"),
        ),
        (Failed("it raised"), Refused(502, "it raised")),
        (TimedOut(2), Refused(504, "timed out after 2 s")),
    ],
)
def test_a_handshake_is_decided_by_what_its_function_did(
    outcome: Outcome, decision: Accepted | Refused
) -> None:
    """2xx opens; any other status, a failure and a timeout refuse."""
    # GIVEN an outcome
    # WHEN it is decided on
    # THEN the decision is API Gateway's
    assert admit(outcome) == decision


@pytest.mark.parametrize(
    "answer",
    [None, "text", [], {}, {"statusCode": True}, {"statusCode": 700}, {"statusCode": "9" * 5000}],
)
def test_what_is_no_answer_refuses_with_502(answer: object) -> None:
    """An answer without a usable status is a bad one."""
    # GIVEN what a function returned
    # WHEN it is decided on
    decision = admit(Returned(answer))

    # THEN the handshake is refused, and the log will say why
    assert isinstance(decision, Refused)
    assert decision.status == 502
    assert "statusCode" in decision.cause


@given(JSON)
def test_whatever_a_function_returns_is_decided_on(payload: Any) -> None:
    """No JSON value makes the decision or the reply fail."""
    # GIVEN any result
    outcome = Returned(payload)

    # WHEN it answers a handshake and a message
    decision = admit(outcome)
    text = reply(outcome, "id", OCCASION)

    # THEN there is a decision, and a reply that can be sent if there is one
    assert isinstance(decision, Accepted | Refused)
    assert text is None or text.encode()


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Returned({"statusCode": 200}), None),
        (Returned({"statusCode": 200, "body": ""}), None),
        (Returned({"statusCode": 200, "body": 5}), None),
        (Returned({"statusCode": 400, "body": "hello"}), "hello"),
        (Returned({"statusCode": 200, "body": "half \ud83d"}), "half ?"),
    ],
)
def test_a_reply_is_the_body_of_the_answer(outcome: Outcome, text: str | None) -> None:
    """Only a body that is text and not empty is sent to the client."""
    # GIVEN an answer
    # WHEN the client is to be replied to
    # THEN it gets the body
    assert reply(outcome, "id", OCCASION) == text


@pytest.mark.parametrize("outcome", [Failed("it raised"), TimedOut(3), Returned(None)])
def test_a_message_that_failed_is_answered_with_an_error(outcome: Outcome) -> None:
    """The client is told with the ids to ask about, and the log what failed."""
    # GIVEN an outcome that is a failure
    # WHEN the client is to be replied to
    text = reply(outcome, "L0SM9cOFvHcCIhw=", OCCASION)

    # THEN it gets API Gateway's message, and there is a cause
    assert text is not None
    assert json.loads(text) == {
        "message": "Internal server error",
        "connectionId": "L0SM9cOFvHcCIhw=",
        "requestId": "NcWzvE4IIAMFUgQ=",
    }
    assert failure(outcome)


@pytest.mark.parametrize(
    ("body", "routes", "selected"),
    [
        ('{"action": "join"}', {"join", "$default"}, "join"),
        ('{"action": "leave"}', {"join", "$default"}, "$default"),
        ('{"action": "leave"}', {"join"}, None),
        ('{"action": ["join"]}', {"join", "$default"}, "$default"),
        ('{"action": "$connect"}', {"$default"}, "$default"),
        ("[1, 2]", {"join", "$default"}, "$default"),
        ("no JSON", {"join", "$default"}, "$default"),
        ("[" * 100_000, {"$default"}, "$default"),
        ("no JSON", set(), None),
    ],
)
def test_a_route_is_selected_by_the_action_of_the_body(
    body: str, routes: set[str], selected: str | None
) -> None:
    """The action names the route if there is one; `$default` takes the rest, if it is there."""
    # GIVEN a body and the app's message routes
    # WHEN a route is selected
    # THEN it is the one API Gateway selects
    assert select_route(body, routes) == selected
