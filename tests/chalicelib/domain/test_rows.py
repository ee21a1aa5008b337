"""A connection as DynamoDB's attribute values, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import Connection
from chalicelib.domain.errors import MalformedRowError
from chalicelib.domain.rows import decoded, from_item, to_item

CONNECTION = Connection("L0SM9cOFvHcCIhw=", created_at=1731324924561, ttl=1731411324)
FULL = Connection(
    connection_id="L0SM9cOFvHcCIhw=",
    created_at=1731324924561,
    ttl=1731411324,
    client_id="alice",
    connected_at=1731324924500,
    source_ip="203.0.113.7",
    user_agent="Mozilla/5.0",
    region="eu-west-1",
    api_id="abcdef1234",
    stage="dev",
    domain_name="ws.example.com",
    closing="kicked",
)
MAYBE_TEXT = st.none() | st.text()
CONNECTIONS = st.builds(
    Connection,
    connection_id=st.text(min_size=1),
    created_at=st.integers(0, 10**15),
    ttl=st.integers(0, 10**12),
    client_id=st.text(min_size=1),
    connected_at=st.none() | st.integers(-(10**15), 10**15),
    source_ip=MAYBE_TEXT,
    user_agent=MAYBE_TEXT,
    region=MAYBE_TEXT,
    api_id=MAYBE_TEXT,
    stage=MAYBE_TEXT,
    domain_name=MAYBE_TEXT,
    closing=MAYBE_TEXT,
)


def test_a_row_has_these_attributes() -> None:
    """Times are numbers, so that DynamoDB can expire and order by them."""
    assert to_item(FULL) == {
        "connectionId": {"S": "L0SM9cOFvHcCIhw="},
        "createdAt": {"N": "1731324924561"},
        "ttl": {"N": "1731411324"},
        "clientId": {"S": "alice"},
        "knownClientId": {"S": "alice"},
        "connectedAt": {"N": "1731324924500"},
        "sourceIp": {"S": "203.0.113.7"},
        "userAgent": {"S": "Mozilla/5.0"},
        "region": {"S": "eu-west-1"},
        "apiId": {"S": "abcdef1234"},
        "stage": {"S": "dev"},
        "domainName": {"S": "ws.example.com"},
        "closing": {"S": "kicked"},
    }


@given(CONNECTIONS)
def test_items_and_connections_are_the_same_thing(connection: Connection) -> None:
    """Encoding and decoding lose nothing."""
    assert from_item(to_item(connection)) == connection


def test_attributes_that_are_not_known_are_left_out() -> None:
    """A newer version of the application may have written the row."""
    item = to_item(CONNECTION) | {"colour": {"S": "blue"}}

    assert from_item(item) == CONNECTION


def test_a_row_without_metadata_is_a_connection() -> None:
    """An older version of the application wrote these four attributes."""
    item: dict[str, Any] = {
        "connectionId": {"S": "L0SM9cOFvHcCIhw="},
        "createdAt": {"N": "1731324924561"},
        "ttl": {"N": "1731411324"},
        "clientId": {"S": "unknown"},
    }

    assert from_item(item) == CONNECTION
    del item["clientId"]
    assert from_item(item) == CONNECTION


@pytest.mark.parametrize(
    ("attribute", "field"),
    [
        ("clientId", "client_id"),
        ("connectedAt", "connected_at"),
        ("sourceIp", "source_ip"),
        ("userAgent", "user_agent"),
        ("region", "region"),
        ("apiId", "api_id"),
        ("stage", "stage"),
        ("domainName", "domain_name"),
        ("closing", "closing"),
    ],
)
@pytest.mark.parametrize("value", [{"BOOL": True}, {"NULL": True}, {"L": []}])
def test_metadata_of_another_type_is_unknown(attribute: str, field: str, value: Any) -> None:
    """Nothing depends on it so much that the connection would be given up for it."""
    found = from_item(to_item(FULL) | {attribute: value})

    assert getattr(found, field) == ("unknown" if attribute == "clientId" else None)
    assert found.connection_id == FULL.connection_id


MALFORMED: list[tuple[str, Any]] = [
    (attribute, value)
    for attribute in ("connectionId", "createdAt", "ttl")
    for value in (None, {"BOOL": True}, {"N": "1.5"}, {"S": "x"}, {"N": "1E+20"})
    if (attribute, value) != ("connectionId", {"S": "x"})
]


@pytest.mark.parametrize(("attribute", "value"), MALFORMED)
def test_a_malformed_row_is_named(attribute: str, value: Any) -> None:
    """A row that something else wrote never passes for a connection."""
    item: dict[str, Any] = to_item(CONNECTION)
    del item[attribute]
    if value is not None:
        item[attribute] = value

    with pytest.raises(MalformedRowError) as caught:
        from_item(item)

    assert caught.value.attribute == attribute


def test_malformed_rows_are_told_apart() -> None:
    """One of them stops nobody from reading the others."""
    items: list[Any] = [
        to_item(FULL),
        {"connectionId": {"S": "bad="}},
        to_item(CONNECTION),
        {"createdAt": {"N": "1"}},
    ]

    assert decoded(items) == ((FULL, CONNECTION), ("bad=", ""))
