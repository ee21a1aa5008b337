from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.adapters.token_keys import LATEST_EXPIRY_S
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import (
    GRACE_S,
    REASON_LIMIT,
    USER_AGENT_LIMIT,
    Connection,
    cut,
    oldest_possible_ms,
    opened,
)
from chalicelib.domain.events import Handshake
from chalicelib.domain.rows import to_item

NOW_MS = 1731324924561
NOW_S = NOW_MS // 1000
OLDEST_MS = (2 * 60 + 5) * 60 * 1000  # API Gateway's two hours, and a margin of 5 minutes
BARE = Handshake("L0SM9cOFvHcCIhw=")
FULL = Handshake(
    connection_id="L0SM9cOFvHcCIhw=",
    connected_at=1731324924500,
    source_ip="203.0.113.7",
    user_agent="Mozilla/5.0",
    api_id="abcdef1234",
    stage="dev",
    domain_name="abcdef1234.execute-api.eu-west-1.amazonaws.com",
    authorization="Bearer secret",
    token="secret",
    subprotocols=("bearer", "secret"),
    origin="https://dashboard.example.com",
)


def test_the_row_of_a_bare_handshake_has_times_in_ms_and_s() -> None:
    assert opened(BARE, None, None, now_ms=NOW_MS, ttl_seconds=86_400).row() == {
        "connectionId": "L0SM9cOFvHcCIhw=",
        "createdAt": 1731324924561,
        "ttl": 1731411324,
        "clientId": "unknown",
    }


def test_the_row_of_a_full_handshake_has_its_metadata_but_neither_token_nor_origin() -> None:
    connection = opened(FULL, "alice", "eu-west-1", now_ms=NOW_MS, ttl_seconds=86_400)

    assert connection.row() == {
        "connectionId": "L0SM9cOFvHcCIhw=",
        "createdAt": 1731324924561,
        "ttl": 1731411324,
        "clientId": "alice",
        "knownClientId": "alice",
        "connectedAt": 1731324924500,
        "sourceIp": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "region": "eu-west-1",
        "apiId": "abcdef1234",
        "stage": "dev",
        "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
    }


@pytest.mark.parametrize("client_id", [None, "unknown"])
def test_an_anonymous_connection_has_no_key_in_the_index(client_id: str | None) -> None:
    """All of them would share one partition."""
    connection = opened(FULL, client_id, "eu-west-1", NOW_MS, 60)

    assert connection.row()["clientId"] == "unknown"
    assert "knownClientId" not in connection.row()


def test_an_unknown_field_is_not_an_attribute_of_the_row() -> None:
    row = {"connectionId": "a=", "createdAt": 1, "ttl": 2, "clientId": "unknown"}

    assert Connection("a=", 1, 2).row() == row
    assert Connection("a=", 1, 2, closing="kicked").row() == row | {"closing": "kicked"}


@given(st.integers(0, 10**14), st.integers(1, 10**10))
def test_the_ttl_loses_less_than_a_second_by_rounding(now_ms: int, ttl_seconds: int) -> None:
    ttl = opened(BARE, None, None, now_ms, ttl_seconds).ttl

    assert 0 <= now_ms + ttl_seconds * 1000 - ttl * 1000 < 1000


def test_connections_are_compared_by_value() -> None:
    """A connection is verified by comparing what was written with what was read back."""
    assert Connection("id", 1, 2) == Connection("id", 1, 2)
    assert Connection("id", 1, 2) != Connection("id", 1, 3)
    assert Connection("id", 1, 2) != Connection("id", 1, 2, "alice")


CUT = [
    (None, None),
    ("", ""),
    ("a" * 192, "a" * 192),
    ("a" * 193, "a" * 192),
    ("é" * 200, "é" * 96),
    ("a" + "é" * 200, "a" + "é" * 95),
    ("😀" * 100, "😀" * 48),
    ("a" + "😀" * 100, "a" + "😀" * 47),
    ("a\ud800b", "a?b"),
]


@pytest.mark.parametrize(("text", "kept"), CUT)
def test_a_user_agent_is_cut_to_192_bytes_between_characters(
    text: str | None, kept: str | None
) -> None:
    handshake = Handshake("id=", user_agent=text)

    assert opened(handshake, None, None, NOW_MS, 60).user_agent == kept


@given(st.text(st.characters(codec=None), max_size=600), st.integers(1, 300))
def test_a_cut_text_fits_and_is_the_beginning(text: str, limit: int) -> None:
    kept = cut(text, limit)

    assert kept is not None
    assert len(kept.encode()) <= limit
    assert text.encode(errors="replace").decode().startswith(kept)


# Bytes, by https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
WRITE_UNIT = 1024
# The owner of the API determines these: the longest DNS name, and a long region.
LONGEST_DOMAIN = ("a" * 63 + ".") * 3 + "a" * 61
LONGEST_REGION = "ap-northeast-10"


def size(item: dict[str, Any]) -> int:
    """Return the size of an item: names and values; a number takes a byte for two digits, plus one.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    total = 0
    for name, value in item.items():
        [(kind, text)] = value.items()
        if kind == "BOOL":
            total += len(name) + 1
            continue
        digits = len(text.strip("0").lstrip("-"))
        total += len(name) + ((digits + 1) // 2 + 1 if kind == "N" else len(text.encode()))
    return total


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"name": {"S": "é1"}}, 7),
        ({"n": {"N": "7"}}, 3),
        ({"n": {"N": "100"}}, 3),
        ({"n": {"N": "1731324924561"}}, 9),
    ],
)
def test_sizes_are_counted_as_documented(item: dict[str, Any], expected: int) -> None:
    assert size(item) == expected


@given(
    user_agent=st.text(st.characters(codec=None), max_size=600),
    client_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=128).filter(
        lambda text: len(text.encode()) <= 128
    ),
)
@example(user_agent="a" * 10_000, client_id="a" * 128)
@example(user_agent="é" * 10_000, client_id="é" * 64)
@example(user_agent="a" + "😀" * 10_000, client_id="😀" * 32)
@example(user_agent="\ud800" * 10_000, client_id="a" * 128)
def test_every_row_costs_one_write_unit(user_agent: str, client_id: str) -> None:
    """Also while it is closed. A client controls its user agent, and by token its id and expiry."""
    handshake = Handshake(
        connection_id="L0SM9cOFvHcCIhw=",
        connected_at=NOW_MS,
        source_ip="1234:1234:1234:1234:1234:1234:123.123.123.123",
        user_agent=user_agent,
        api_id="abcdef1234",
        stage="s" * 24,
        domain_name=LONGEST_DOMAIN,
    )
    row = opened(handshake, client_id, LONGEST_REGION, NOW_MS, 876_000 * 3600, LATEST_EXPIRY_S)
    longest = max(Cause, key=len).value
    item = to_item(
        replace(
            row,
            closing=longest,
            closing_at=NOW_MS,
            close_reason="a" * REASON_LIMIT,
            close_reconnect=False,
        )
    )

    assert size(item | {"userAgent": {"S": "a" * USER_AGENT_LIMIT}}) > 700
    assert size(item) < WRITE_UNIT


@pytest.mark.parametrize(
    ("created_at", "ttl", "may_live"),
    [
        (NOW_MS, NOW_S + 60, True),
        (NOW_MS, NOW_S + 1, True),
        (NOW_MS, NOW_S, False),
        (NOW_MS, NOW_S - 60, False),
        (NOW_MS - OLDEST_MS + 1, NOW_S + 60, True),
        (NOW_MS - OLDEST_MS, NOW_S + 60, False),
        (NOW_MS + 60_000, NOW_S + 120, True),
    ],
)
def test_a_connection_may_live_within_its_ttl_and_its_maximum_age(
    created_at: int, ttl: int, *, may_live: bool
) -> None:
    assert Connection("id", created_at, ttl).may_live(NOW_MS) is may_live
    assert (created_at > oldest_possible_ms(NOW_MS)) or not may_live


@pytest.mark.parametrize(
    ("expires_at", "is_expired"),
    [(None, False), (NOW_S + 1, False), (NOW_S, True), (NOW_S - 1, True), (0, True)],
)
def test_a_connection_expires_with_its_token_to_the_second(
    expires_at: int | None, *, is_expired: bool
) -> None:
    connection = Connection("id", NOW_MS, NOW_S + 60, expires_at=expires_at)

    assert connection.is_expired(NOW_S * 1000) is is_expired
    assert connection.is_expired(NOW_S * 1000 + 999) is is_expired


def test_the_grace_period_is_a_minute() -> None:
    assert GRACE_S == 60


@pytest.mark.parametrize(("now_ms", "age_s"), [(1500, 0.5), (1000, 0.0), (999, 0.0)])
def test_the_age_is_in_seconds_and_never_negative(now_ms: int, age_s: float) -> None:
    assert Connection("id", 1000, 60).age_s(now_ms) == age_s
