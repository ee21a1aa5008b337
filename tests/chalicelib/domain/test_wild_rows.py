"""Rows that other tools or older versions wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import Connection
from chalicelib.domain.errors import MalformedRowError
from chalicelib.domain.malformed_rows import DAY_MS, disposable, expiry_ms
from chalicelib.domain.rows import decoded, from_item

NOW_MS = 1_731_324_924_561
NOW_S = NOW_MS // 1000
ITEM: dict[str, Any] = {
    "connectionId": {"S": "a="},
    "createdAt": {"N": str(NOW_MS)},
    "ttl": {"N": str(NOW_S + 86_400)},
    "clientId": {"S": "unknown"},
}
VALUES = st.sampled_from(
    [
        {"N": "1731324924.5"},
        {"N": "1731324924"},
        {"N": "1731324924561"},
        {"N": "1.731324924561E+27"},
        {"N": "-1"},
        {"S": "1731324924561"},
        {"S": "nan"},
        {"S": "inf"},
        {"S": ""},
        {"NULL": True},
        {"BOOL": False},
        {"L": [{"N": "1"}]},
        {"M": {}},
    ]
)


def test_the_four_attributes_of_the_original_format_are_a_connection() -> None:
    assert from_item(ITEM) == Connection("a=", NOW_MS, NOW_S + 86_400)


@pytest.mark.parametrize(
    "created_at", [NOW_S, NOW_MS * 1000, NOW_MS * 1_000_000, 0, -NOW_MS, 1_500_000_000_000]
)
def test_a_start_that_is_not_in_milliseconds_is_not_a_connection(created_at: int) -> None:
    """Its duration would be 50 years, or its connection never too old."""
    with pytest.raises(MalformedRowError) as caught:
        from_item(ITEM | {"createdAt": {"N": str(created_at)}})

    assert str(caught.value) == (
        f"row of connection 'a=': attribute 'createdAt' is {{'N': '{created_at}'}}; "
        "expected an integer number of epoch milliseconds"
    )


def test_a_handshake_time_that_is_not_in_milliseconds_is_unknown() -> None:
    assert from_item(ITEM | {"connectedAt": {"N": str(NOW_S)}}).connected_at is None


@given(st.dictionaries(st.sampled_from([*ITEM, "apiId", "closing", "colour"]), VALUES))
def test_no_row_disturbs_the_others(attributes: dict[str, Any]) -> None:
    connections, malformed = decoded([ITEM, ITEM | attributes, attributes])

    assert connections[0] == from_item(ITEM)
    assert len(connections) + len(malformed) == 3
    for connection in connections:
        assert 0 <= connection.duration_s(NOW_MS) <= 2.1 * 3600


@pytest.mark.parametrize(
    ("attributes", "at_ms"),
    [
        ({"ttl": {"N": str(NOW_S)}}, NOW_S * 1000),
        ({"ttl": {"S": str(NOW_S)}}, NOW_S * 1000),
        ({"ttl": {"N": f"{NOW_S}.5"}}, NOW_S * 1000 + 500),
        ({"ttl": {"N": str(NOW_MS)}}, NOW_MS),
        ({"createdAt": {"N": str(NOW_MS)}}, NOW_MS + DAY_MS),
        ({"createdAt": {"S": str(NOW_MS)}}, NOW_MS + DAY_MS),
        ({"createdAt": {"N": str(NOW_S)}}, NOW_S * 1000 + DAY_MS),
        ({"createdAt": {"N": str(NOW_MS * 1000)}}, NOW_MS + DAY_MS),
        ({"createdAt": {"N": str(NOW_S)}, "ttl": {"NULL": True}}, NOW_S * 1000 + DAY_MS),
        ({"createdAt": {"N": str(NOW_S)}, "ttl": {"N": str(NOW_S + 1)}}, (NOW_S + 1) * 1000),
        ({"createdAt": {"L": []}, "ttl": {"N": "0"}}, None),
        ({"createdAt": {"S": "yesterday"}, "ttl": {"S": "nan"}}, None),
        ({}, None),
    ],
)
def test_a_malformed_row_expires_at_its_ttl_or_a_day_after_its_start(
    attributes: dict[str, Any], at_ms: int | None
) -> None:
    """A row that has neither is left where it is."""
    assert expiry_ms(attributes) == at_ms
    if at_ms is None:
        assert not disposable(attributes, NOW_MS * 2)
    else:
        assert disposable(attributes, at_ms)
        assert not disposable(attributes, at_ms - 1)


@given(st.dictionaries(st.sampled_from(["createdAt", "ttl"]), VALUES))
def test_every_row_can_be_judged(attributes: dict[str, Any]) -> None:
    assert disposable(attributes, NOW_MS) in (True, False)


def test_an_orphan_lasted_no_longer_than_a_connection_can() -> None:
    """The sweep may have been off for days."""
    connection = from_item(ITEM)

    assert connection.duration_s(NOW_MS + 90_500) == 90.5
    assert connection.duration_s(NOW_MS + 7 * DAY_MS) == 7500
