"""What is read from API Gateway's events, and what is made of odd ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import EventError
from chalicelib.events import Ended, connection_id, ended
from tests.events import CONNECTION_ID, connect_event, disconnect_event

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_connection_id_is_taken_as_it_is() -> None:
    """It is the key of the row."""
    assert connection_id(connect_event()) == CONNECTION_ID


@given(ANYTHING)
def test_a_connection_id_is_a_string_or_an_error(value: Any) -> None:
    """Nothing else can come out of an event."""
    event = {"requestContext": {"connectionId": value}}
    if isinstance(value, str) and value.strip():
        assert connection_id(event) == value
    else:
        with pytest.raises(EventError) as caught:
            connection_id(event)
        assert caught.value.field == "requestContext.connectionId"
        assert repr(value) in str(caught.value)


def test_the_end_of_a_connection_is_read() -> None:
    """Code, reason and duration are those of API Gateway."""
    event = disconnect_event(code=1001, reason="Going away", lasted_ms=1500)

    assert ended(event) == Ended(CONNECTION_ID, 1001, "Going away", 1.5)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_odd_fields_of_a_disconnect_event_are_unknown(
    code: Any, reason: Any, connected_at: Any, ended_at: Any
) -> None:
    """No field but the connection id can make a `$disconnect` fail."""
    event = disconnect_event()
    event["requestContext"] |= {
        "disconnectStatusCode": code,
        "disconnectReason": reason,
        "connectedAt": connected_at,
        "requestTimeEpoch": ended_at,
    }

    end = ended(event)

    assert end.code is None or end.code == code
    assert end.reason is None or end.reason == reason
    assert end.duration_s is None or end.duration_s >= 0


def test_a_disconnect_event_without_its_fields_is_accepted() -> None:
    """All of them are optional."""
    event = {"requestContext": {"connectionId": CONNECTION_ID}}

    assert ended(event) == Ended(CONNECTION_ID, None, None, None)
