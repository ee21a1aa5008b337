"""Events of API Gateway that were made by hand, by emulators or by something else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import EventError, ForeignEventError
from chalicelib.domain.events import check, ended, handshake
from tests.support.events import CONNECTED_AT, connect_event, disconnect_event

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_a_payload_of_something_else_is_foreign(payload: Any) -> None:
    with pytest.raises(ForeignEventError, match="expected an event of an API Gateway WebSocket"):
        check(payload)


@pytest.mark.parametrize("name", ["connectionId", "apiId", "stage", "domainName"])
@pytest.mark.parametrize("value", [None, "", " ", 7, [], {}])
def test_an_event_names_its_connection_and_its_api(name: str, value: Any) -> None:
    event = connect_event()
    event["requestContext"][name] = value

    with pytest.raises(EventError) as caught:
        check(event)

    assert str(caught.value) == f"requestContext.{name} is {value!r}; expected a non-empty string"


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_any_headers_and_parameters_are_read(many: Any, single: Any, values: Any, one: Any) -> None:
    event = connect_event() | {
        "multiValueHeaders": many,
        "headers": single,
        "multiValueQueryStringParameters": values,
        "queryStringParameters": one,
    }

    assert all(isinstance(each, str) for each in handshake(event).client_ids)


def test_a_string_where_a_list_is_due_is_one_value() -> None:
    event = connect_event()
    event["multiValueHeaders"] = {
        "Origin": "https://a.example",
        "Authorization": [None, "Bearer T"],
    }
    event["multiValueQueryStringParameters"] = {"clientId": "alice", "token": None}

    read = handshake(event)

    assert (read.origin, read.authorization) == ("https://a.example", "Bearer T")
    assert (read.client_ids, read.token) == (("alice",), None)


@pytest.mark.parametrize("connected_at", [0, CONNECTED_AT // 1000, -CONNECTED_AT])
def test_times_that_are_days_apart_are_no_duration(connected_at: int) -> None:
    """A duration of 50 years would spoil the metric."""
    event = disconnect_event()
    event["requestContext"]["connectedAt"] = connected_at

    assert ended(event).duration_s is None
