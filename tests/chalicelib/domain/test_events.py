"""What is read from API Gateway's events, and what is made of odd ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import EventError
from chalicelib.domain.events import Ended, Handshake, connection_id, ended, handshake
from tests.support.events import CONNECTED_AT, CONNECTION_ID, connect_event, disconnect_event

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


def test_a_handshake_is_read() -> None:
    """What admission, the row and the metadata need, and nothing else."""
    assert handshake(connect_event()) == Handshake(
        connection_id=CONNECTION_ID,
        origin="https://dashboard.example.com",
        connected_at=CONNECTED_AT,
        source_ip="203.0.113.7",
        user_agent="Mozilla/5.0",
        api_id="abcdef1234",
        stage="dev",
        domain_name="abcdef1234.execute-api.eu-west-1.amazonaws.com",
    )


def test_the_parameters_are_read() -> None:
    """Every value of clientId counts, and the last of the token."""
    event = connect_event(query={"clientId": ["a", "b"], "token": ["T", "U"], "other": ["x"]})

    read = handshake(event)

    assert read.client_ids == ("a", "b")
    assert read.token == "U"


def test_names_of_parameters_are_compared_as_they_are() -> None:
    """Parameters are case-sensitive, as headers are not."""
    assert handshake(connect_event(query={"clientid": ["a"]})).client_ids == ()


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_headers_are_found_in_any_case(name: str) -> None:
    """API Gateway hands them on as the client wrote them."""
    assert handshake(connect_event(headers={name: ["Bearer T"]})).authorization == "Bearer T"


@pytest.mark.parametrize(
    ("offered", "read"),
    [
        (["bearer, T"], ("bearer", "T")),
        (["bearer,T"], ("bearer", "T")),
        (["bearer", "T"], ("bearer", "T")),
        (["chat , bearer", " T ,"], ("chat", "bearer", "T")),
        ([""], ()),
        ([], ()),
    ],
)
def test_subprotocols_are_read_in_order(offered: list[str], read: tuple[str, ...]) -> None:
    """A header may hold several, and may come several times (RFC 6455, section 11.3.4)."""
    event = connect_event(headers={"Sec-WebSocket-Protocol": offered})

    assert handshake(event).subprotocols == read


def test_single_values_serve_when_there_are_no_others() -> None:
    """An event made by hand for a test has often just these."""
    event = connect_event(query={"clientId": ["a"]}, headers={"Authorization": ["Bearer T"]})
    del event["multiValueHeaders"]
    del event["multiValueQueryStringParameters"]

    read = handshake(event)

    assert (read.client_ids, read.authorization) == (("a",), "Bearer T")


def test_a_handshake_without_its_fields_is_accepted() -> None:
    """Only the connection id has to be there."""
    event = {"requestContext": {"connectionId": CONNECTION_ID}}

    assert handshake(event) == Handshake(CONNECTION_ID)


@pytest.mark.parametrize("absent", [None, {}])
def test_fields_without_content_are_as_good_as_none(absent: Any) -> None:
    """API Gateway leaves a query string out or, in some events, gives null."""
    event = connect_event()
    for name in ("headers", "multiValueHeaders", "queryStringParameters"):
        event[name] = absent
    event["multiValueQueryStringParameters"] = absent
    event["requestContext"]["identity"] = absent

    read = handshake(event)

    assert (read.client_ids, read.origin, read.source_ip) == ((), None, None)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_odd_metadata_is_unknown(connected_at: Any, user_agent: Any, stage: Any, ip: Any) -> None:
    """What is only stored never makes a handshake fail."""
    event = connect_event()
    event["requestContext"] |= {
        "connectedAt": connected_at,
        "stage": stage,
        "identity": {"sourceIp": ip, "userAgent": user_agent},
    }

    read = handshake(event)

    for value, given_value, kind in (
        (read.connected_at, connected_at, int),
        (read.user_agent, user_agent, str),
        (read.stage, stage, str),
        (read.source_ip, ip, str),
    ):
        assert value is None or (value == given_value and isinstance(value, kind))


@given(
    st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3), max_size=4),
    st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3), max_size=4),
)
def test_any_headers_and_parameters_are_read(
    headers: dict[str, list[str]], query: dict[str, list[str]]
) -> None:
    """A client can send what it wants."""
    read = handshake(connect_event(headers=headers, query=query))

    assert read.client_ids == tuple(query.get("clientId", ()))
