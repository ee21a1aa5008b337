"""The fields and types of API Gateway's events."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgateway.api_gateway.events import (
    Api,
    Client,
    Handshake,
    Occasion,
    close_reason,
    connect_event,
    disconnect_event,
    message_event,
    new_id,
    new_trace_id,
)

API = Api(stage="live", domain_name="127.0.0.1:8765", port=8765)
CLIENT = Client("L0SM9cOFvHcCIhw=", 1731324924561, "192.0.2.7", "Sample/1.0")
OCCASION = Occasion("NcWzvE4IIAMFUgQ=", 1731324924999)
TRACE = "Root=1-6731ebfc-000000000000000000000000"
CONTEXT = {
    "messageDirection": "IN",
    "connectionId": "L0SM9cOFvHcCIhw=",
    "connectedAt": 1731324924561,
    "requestTime": "11/Nov/2024:11:35:24 +0000",
    "requestTimeEpoch": 1731324924999,
    "requestId": "NcWzvE4IIAMFUgQ=",
    "extendedRequestId": "NcWzvE4IIAMFUgQ=",
    "stage": "live",
    "domainName": "127.0.0.1:8765",
    "apiId": "local00000",
    "identity": {"sourceIp": "192.0.2.7", "userAgent": "Sample/1.0"},
}


def test_a_connect_event_is_as_documented() -> None:
    """It has every documented field and no other."""
    handshake = Handshake(
        "192.0.2.7",
        (("Host", "example"), ("Connection", "Upgrade"), ("X-Forwarded-For", "198.51.100.1")),
        (("a", "1"), ("b", "2"), ("a", "3")),
    )

    event = connect_event(API, CLIENT, handshake, OCCASION, TRACE)

    headers = {
        "Host": "example",
        "X-Amzn-Trace-Id": TRACE,
        "X-Forwarded-For": "198.51.100.1, 192.0.2.7",
        "X-Forwarded-Port": "8765",
        "X-Forwarded-Proto": "http",
    }
    assert event == {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"a": "3", "b": "2"},
        "multiValueQueryStringParameters": {"a": ["1", "3"], "b": ["2"]},
        "requestContext": {**CONTEXT, "routeKey": "$connect", "eventType": "CONNECT"},
        "isBase64Encoded": False,
    }


def test_a_connect_event_without_a_query_string_has_no_field_for_it() -> None:
    """API Gateway omits the fields."""
    event = connect_event(API, CLIENT, Handshake("192.0.2.7"), OCCASION, TRACE)

    assert event.keys() == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}


def test_a_message_event_is_as_documented() -> None:
    """A message has an id of its own and no headers."""
    event = message_event(API, CLIENT, OCCASION, "$default", "hello")

    assert event == {
        "requestContext": {
            **CONTEXT,
            "routeKey": "$default",
            "eventType": "MESSAGE",
            "messageId": "NcWzvE4IIAMFUgQ=",
        },
        "body": "hello",
        "isBase64Encoded": False,
    }


def test_a_disconnect_event_is_as_documented() -> None:
    """Its headers are stubs and there is no query string."""
    event = disconnect_event(API, CLIENT, OCCASION, 1005, None)

    headers = {"Host": "127.0.0.1:8765", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    assert event == {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": {
            **CONTEXT,
            "routeKey": "$disconnect",
            "eventType": "DISCONNECT",
            "disconnectStatusCode": 1005,
            "disconnectReason": "Client-side close frame status not set",
        },
        "isBase64Encoded": False,
    }


def test_a_client_without_a_user_agent_has_none_in_its_events() -> None:
    """The field is optional."""
    client = Client("L0SM9cOFvHcCIhw=", 0, "192.0.2.7")

    event = message_event(API, client, OCCASION, "$default", "")

    assert event["requestContext"]["identity"] == {"sourceIp": "192.0.2.7"}


@pytest.mark.parametrize(
    ("code", "given_reason", "reported"),
    [
        (1000, None, "Connection Closed Normally"),
        (1000, "bye", "bye"),
        (1001, "", "Going away"),
        (1006, None, "Connection closed abnormally"),
        (3000, None, ""),
        (4000, "ours", "ours"),
    ],
)
def test_the_clients_reason_precedes_api_gateways(
    code: int, given_reason: str | None, reported: str
) -> None:
    """Without a reason from the client, API Gateway's text for the code is used, if any."""
    assert close_reason(code, given_reason) == reported


def test_ids_have_api_gateways_format() -> None:
    """Ids have 16 characters and end in `=`; trace ids have X-Ray's format."""
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{15}=", each) for each in ids)
    assert re.fullmatch(r"Root=1-6731ebfc-[0-9a-f]{24}", new_trace_id(OCCASION.at))


@given(st.lists(st.tuples(st.sampled_from(["A", "a", "B", "Proxy-X", "TE", "Upgrade"]), st.text())))
def test_all_headers_but_hop_by_hop_headers_are_kept(headers: list[tuple[str, str]]) -> None:
    """Values keep their order under the first spelling; the last value is the single one."""
    handshake = Handshake("192.0.2.7", tuple(headers))

    event = connect_event(API, CLIENT, handshake, OCCASION, TRACE)

    values: dict[str, list[Any]] = event["multiValueHeaders"]
    for name in ("a", "b"):
        sent = [value for key, value in headers if key.lower() == name]
        found = [each for key, each in values.items() if key.lower() == name]
        assert found == ([sent] if sent else [])
    assert not {"Proxy-X", "TE", "Upgrade"} & values.keys()
    assert event["headers"] == {name: each[-1] for name, each in values.items()}
