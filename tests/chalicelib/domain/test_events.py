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
MULTI_VALUES = st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3), max_size=4)
BARE = {"requestContext": {"connectionId": CONNECTION_ID}}


@given(ANYTHING)
def test_the_connection_id_is_a_non_empty_string(value: Any) -> None:
    event = {"requestContext": {"connectionId": value}}
    if isinstance(value, str) and value.strip():
        assert connection_id(event) == value
    else:
        with pytest.raises(EventError) as caught:
            connection_id(event)
        assert str(caught.value) == (
            f"requestContext.connectionId is {value!r}; expected a non-empty string"
        )


def test_a_disconnect_event_tells_code_reason_and_duration() -> None:
    event = disconnect_event(code=1001, reason="Going away", lasted_ms=1500)

    times = (CONNECTED_AT, CONNECTED_AT + 1500)
    assert ended(event) == Ended(CONNECTION_ID, 1001, "Going away", 1.5, *times)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_fields_of_another_type_in_a_disconnect_event_are_unknown(
    code: Any, reason: Any, connected_at: Any, ended_at: Any
) -> None:
    event = disconnect_event()
    event["requestContext"] |= {
        "disconnectStatusCode": code,
        "disconnectReason": reason,
        "connectedAt": connected_at,
        "requestTimeEpoch": ended_at,
    }

    end = ended(event)

    assert end.code is None or (end.code == code and isinstance(end.code, int))
    assert end.reason is None or end.reason == reason
    assert end.duration_s is None or end.duration_s >= 0


def test_only_the_connection_id_is_required() -> None:
    assert ended(BARE) == Ended(CONNECTION_ID, None, None, None)
    assert handshake(BARE) == Handshake(CONNECTION_ID)


def test_a_handshake_has_headers_and_metadata() -> None:
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


@pytest.mark.parametrize(
    ("query", "client_ids", "token"),
    [
        ({"clientId": ["a"]}, ("a",), None),
        ({"clientId": ["a", "b"], "token": ["T", "U"], "other": ["x"]}, ("a", "b"), "U"),
        ({"clientid": ["a"], "Token": ["T"]}, (), None),  # names of parameters are case-sensitive
    ],
)
def test_every_client_id_and_the_last_token_count(
    query: dict[str, list[str]], client_ids: tuple[str, ...], token: str | None
) -> None:
    read = handshake(connect_event(query=query))

    assert (read.client_ids, read.token) == (client_ids, token)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_names_of_headers_are_not_case_sensitive(name: str) -> None:
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
def test_subprotocols_keep_their_order(offered: list[str], read: tuple[str, ...]) -> None:
    """A header can hold several and appear several times (RFC 6455, section 11.3.4)."""
    event = connect_event(headers={"Sec-WebSocket-Protocol": offered})

    assert handshake(event).subprotocols == read


def test_a_hand_made_event_can_have_single_values_only() -> None:
    event = connect_event(query={"clientId": ["a"]}, headers={"Authorization": ["Bearer T"]})
    del event["multiValueHeaders"]
    del event["multiValueQueryStringParameters"]

    read = handshake(event)

    assert (read.client_ids, read.authorization) == (("a",), "Bearer T")


@pytest.mark.parametrize("absent", [None, {}])
def test_an_empty_field_is_absent(absent: Any) -> None:
    event = connect_event()
    event["multiValueQueryStringParameters"] = absent
    event["requestContext"]["identity"] = absent
    for name in ("headers", "multiValueHeaders", "queryStringParameters"):
        event[name] = absent

    read = handshake(event)

    assert (read.client_ids, read.origin, read.source_ip) == ((), None, None)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_metadata_of_another_type_is_unknown(
    connected_at: Any, user_agent: Any, stage: Any, ip: Any
) -> None:
    event = connect_event()
    event["requestContext"] |= {
        "connectedAt": connected_at,
        "stage": stage,
        "identity": {"sourceIp": ip, "userAgent": user_agent},
    }

    read = handshake(event)

    for value, sent, kind in (
        (read.connected_at, connected_at, int),
        (read.user_agent, user_agent, str),
        (read.stage, stage, str),
        (read.source_ip, ip, str),
    ):
        assert value is None or (value == sent and isinstance(value, kind))


@given(MULTI_VALUES, MULTI_VALUES)
def test_a_client_can_send_any_headers_and_parameters(
    headers: dict[str, list[str]], query: dict[str, list[str]]
) -> None:
    read = handshake(connect_event(headers=headers, query=query))

    assert read.client_ids == tuple(query.get("clientId", ()))
