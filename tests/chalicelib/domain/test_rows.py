from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import EARLIEST_MS, LATEST_MS, Connection
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
    expires_at=1731325000,
)
FULL_ITEM: dict[str, Any] = {
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
    "expiresAt": {"N": "1731325000"},
}
OPTIONAL = {
    "clientId": "client_id",
    "connectedAt": "connected_at",
    "sourceIp": "source_ip",
    "userAgent": "user_agent",
    "region": "region",
    "apiId": "api_id",
    "stage": "stage",
    "domainName": "domain_name",
    "closing": "closing",
    "expiresAt": "expires_at",
}
NUMBERS = ("connected_at", "expires_at")
REQUIRED = ("connectionId", "createdAt", "ttl")
MAYBE_TEXT = st.none() | st.text()
MOMENTS = st.integers(EARLIEST_MS, LATEST_MS - 1)
CONNECTIONS = st.builds(
    Connection,
    connection_id=st.text(min_size=1),
    created_at=MOMENTS,
    ttl=st.integers(0, 10**12),
    client_id=st.text(min_size=1),
    connected_at=st.none() | MOMENTS,
    expires_at=st.none() | st.integers(0, 10**12),
    **{name: MAYBE_TEXT for name in OPTIONAL.values() if name not in ("client_id", *NUMBERS)},
)


def test_an_item_has_these_attributes() -> None:
    assert to_item(FULL) == FULL_ITEM
    assert to_item(CONNECTION) == {name: FULL_ITEM[name] for name in REQUIRED} | {
        "clientId": {"S": "unknown"}
    }


@given(CONNECTIONS)
def test_encoding_and_decoding_lose_nothing(connection: Connection) -> None:
    assert from_item(to_item(connection)) == connection


def test_only_three_attributes_are_required_and_unknown_ones_are_ignored() -> None:
    """Older and newer versions of the application write fewer and more."""
    item = {name: FULL_ITEM[name] for name in REQUIRED}

    assert from_item(item | {"colour": {"S": "blue"}}) == CONNECTION


@pytest.mark.parametrize("attribute", OPTIONAL)
@pytest.mark.parametrize("value", [{"BOOL": True}, {"NULL": True}, {"L": []}])
def test_an_optional_attribute_of_another_type_is_unknown(attribute: str, value: Any) -> None:
    found = from_item(FULL_ITEM | {attribute: value})

    unknown = "unknown" if attribute == "clientId" else None
    assert vars(found) == vars(FULL) | {OPTIONAL[attribute]: unknown}


@pytest.mark.parametrize("attribute", REQUIRED)
@pytest.mark.parametrize(
    "value", [None, {"BOOL": True}, {"N": "1.5"}, {"S": ["x"]}, {"N": "1E+20"}]
)
def test_a_row_without_a_valid_required_attribute_is_malformed(attribute: str, value: Any) -> None:
    with pytest.raises(MalformedRowError) as caught:
        from_item({**FULL_ITEM, attribute: value})

    assert caught.value.attribute == attribute
    assert caught.value.connection_id == ("" if attribute == "connectionId" else FULL.connection_id)


def test_malformed_rows_are_separated_from_connections() -> None:
    items: list[Any] = [
        to_item(FULL),
        {"connectionId": {"S": "bad="}},
        to_item(CONNECTION),
        {"createdAt": {"N": "1"}},
    ]

    assert decoded(items) == ((FULL, CONNECTION), (items[1], items[3]))
