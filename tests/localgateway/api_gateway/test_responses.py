"""API Gateway's reactions to the responses of functions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgateway.api_gateway.events import Occasion
from localgateway.api_gateway.responses import Accepted, Refused, admit, failure, reply
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut

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
        (Returned({"statusCode": 403}), Refused(403, "from $connect")),
        (
            Returned({"statusCode": 401, "body": "no"}),
            Refused(401, "from $connect", "no"),
        ),
        (Failed("it raised"), Refused(502, "it raised")),
        (TimedOut(2), Refused(504, "timed out after 2 s")),
    ],
)
def test_the_outcome_of_connect_decides_on_the_handshake(
    outcome: Outcome, decision: Accepted | Refused
) -> None:
    """2xx opens the connection; any other status, a failure and a timeout refuse it."""
    assert admit(outcome) == decision


@pytest.mark.parametrize(
    "answer",
    [None, "text", [], {}, {"statusCode": True}, {"statusCode": 700}, {"statusCode": "9" * 5000}],
)
def test_an_invalid_response_refuses_with_502(answer: object) -> None:
    """A response needs a valid status code."""
    decision = admit(Returned(answer))

    assert isinstance(decision, Refused)
    assert decision.status == 502
    assert "statusCode" in decision.cause


@given(JSON)
def test_any_json_value_is_decided_on(payload: Any) -> None:
    """No JSON value makes the decision or the reply fail."""
    outcome = Returned(payload)

    decision = admit(outcome)
    text = reply(outcome, "id", OCCASION, route_response=True)

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
    """Only non-empty text is sent to the client."""
    assert reply(outcome, "id", OCCASION, route_response=True) == text


@pytest.mark.parametrize("outcome", [Failed("it raised"), TimedOut(3), Returned(None)])
def test_a_message_that_failed_is_answered_with_an_error(outcome: Outcome) -> None:
    """The client receives the ids to ask about, and the log has the cause."""
    text = reply(outcome, "L0SM9cOFvHcCIhw=", OCCASION, route_response=False)

    assert text is not None
    assert json.loads(text) == {
        "message": "Internal server error",
        "connectionId": "L0SM9cOFvHcCIhw=",
        "requestId": "NcWzvE4IIAMFUgQ=",
    }
    assert failure(outcome)
