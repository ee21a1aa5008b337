"""A tracked connection as a value."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import (
    MARGIN_MS,
    MAX_DURATION_MS,
    Connection,
    cut,
    oldest_possible_ms,
    opened,
)
from chalicelib.domain.events import Handshake
from chalicelib.domain.limits import over_limit
from chalicelib.domain.rows import to_item

NOW_MS = 1731324924561
HOUR_MS = 3600 * 1000
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


def test_an_opened_connection_has_times_in_both_units() -> None:
    """`createdAt` is in ms and `ttl` in s, counted from the same moment."""
    connection = opened(BARE, None, None, now_ms=NOW_MS, ttl_seconds=86_400)

    assert connection.row() == {
        "connectionId": "L0SM9cOFvHcCIhw=",
        "createdAt": 1731324924561,
        "ttl": 1731411324,
        "clientId": "unknown",
    }


def test_an_opened_connection_has_its_metadata() -> None:
    """And of what the client sent, only what the row is to hold: no token, no Origin."""
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
    """All of them would share one partition, so the index leaves them out."""
    connection = opened(FULL, client_id, "eu-west-1", NOW_MS, 60)

    assert connection.row()["clientId"] == "unknown"
    assert "knownClientId" not in connection.row()


@given(st.integers(0, 10**14), st.integers(1, 10**10))
def test_a_row_outlives_the_moment_it_was_written(now_ms: int, ttl_seconds: int) -> None:
    """The time to live is never over when the row is written, whatever the rounding."""
    ttl = opened(BARE, None, None, now_ms, ttl_seconds).ttl

    assert ttl * 1000 > now_ms - 1000 + ttl_seconds * 1000 - 1


def test_a_connection_is_compared_by_value() -> None:
    """Verification compares what was written with what was read back."""
    assert Connection("id", 1, 2) == Connection("id", 1, 2)
    assert Connection("id", 1, 2) != Connection("id", 1, 3)
    assert Connection("id", 1, 2) != Connection("id", 1, 2, "alice")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, None),
        ("", ""),
        ("a" * 256, "a" * 256),
        ("a" * 257, "a" * 256),
        ("é" * 200, "é" * 128),
        ("a" + "é" * 200, "a" + "é" * 127),
        ("😀" * 100, "😀" * 64),
        ("a" + "😀" * 100, "a" + "😀" * 63),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_text_is_cut_between_characters(text: str | None, kept: str | None) -> None:
    """The limit is one of bytes too, since that is what a row's size is counted in."""
    assert cut(text, 256) == kept


@given(st.text(st.characters(codec=None), max_size=600))
def test_a_cut_text_is_a_text_that_fits(text: str) -> None:
    """Whatever a client sends as its user agent, half surrogate pairs included."""
    kept = cut(text, 256)

    assert kept is not None
    assert len(kept.encode()) <= 256
    assert text.encode(errors="replace").decode().startswith(kept)


# Bytes, by https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
WRITE_UNIT = 1024
# They are the owner's, not the client's: the longest name of the DNS, and a long one of a region.
LONGEST_DOMAIN = ("a" * 63 + ".") * 3 + "a" * 61
LONGEST_REGION = "ap-northeast-10"


def size(item: dict[str, Any]) -> int:
    """Count an item as DynamoDB does: names and values, two digits a byte and one more."""
    total = 0
    for name, value in item.items():
        [(kind, text)] = value.items()
        digits = len(text.strip("0").lstrip("-"))
        total += len(name) + ((digits + 1) // 2 + 1 if kind == "N" else len(text.encode()))
    return total


def test_sizes_are_counted_as_documented() -> None:
    """The example of a text of three bytes under a name of four, and numbers of 1 to 13 digits."""
    assert size({"name": {"S": "é1"}}) == 7
    assert size({"n": {"N": "7"}}) == 3
    assert size({"n": {"N": "100"}}) == 3
    assert size({"n": {"N": "1731324924561"}}) == 9


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
    """The largest row, with the cause of a close written to it, stays under 1 KB.

    What a client has a say in is its user agent and, with a token, a subject of 128 bytes.
    """
    handshake = Handshake(
        connection_id="L0SM9cOFvHcCIhw=",
        connected_at=NOW_MS,
        source_ip="1234:1234:1234:1234:1234:1234:123.123.123.123",
        user_agent=user_agent,
        api_id="abcdef1234",
        stage="s" * 24,
        domain_name=LONGEST_DOMAIN,
    )
    row = opened(handshake, client_id, LONGEST_REGION, NOW_MS, 876_000 * 3600)
    item = to_item(row) | {"closing": {"S": max(Cause, key=len).value}}

    assert size(item | {"userAgent": {"S": "a" * 256}}) > 700
    assert size(item) < WRITE_UNIT


@pytest.mark.parametrize(
    ("created_at", "ttl", "alive"),
    [
        (NOW_MS, NOW_MS // 1000 + 60, True),
        (NOW_MS, NOW_MS // 1000 + 1, True),
        (NOW_MS, NOW_MS // 1000, False),
        (NOW_MS, NOW_MS // 1000 - 60, False),
        (NOW_MS - 2 * HOUR_MS, NOW_MS // 1000 + 60, True),
        (NOW_MS - MAX_DURATION_MS - MARGIN_MS + 1, NOW_MS // 1000 + 60, True),
        (NOW_MS - MAX_DURATION_MS - MARGIN_MS, NOW_MS // 1000 + 60, False),
        (NOW_MS + 60_000, NOW_MS // 1000 + 120, True),
    ],
)
def test_what_can_be_alive(created_at: int, ttl: int, alive: bool) -> None:
    """Within its time to live, and within the two hours of API Gateway and a margin."""
    assert Connection("id", created_at, ttl).may_live(NOW_MS) is alive


def test_the_oldest_possible_connection_is_two_hours_and_a_small_margin_old() -> None:
    """The quota cannot be raised; the margin is for clocks."""
    assert MAX_DURATION_MS == 2 * HOUR_MS
    assert 0 < MARGIN_MS <= 10 * 60 * 1000
    assert oldest_possible_ms(NOW_MS) == NOW_MS - MAX_DURATION_MS - MARGIN_MS


@pytest.mark.parametrize(("now_ms", "age_s"), [(1500, 0.5), (1000, 0.0), (999, 0.0)])
def test_the_age_is_in_seconds_and_never_negative(now_ms: int, age_s: float) -> None:
    """Another machine's clock may be behind the one that wrote the row."""
    assert Connection("id", 1000, 60).age_s(now_ms) == age_s


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 8))
def test_the_newest_connections_win(created: list[int], limit: int) -> None:
    """What is over the limit is the oldest; of the same moment, the same ones for everybody."""
    connections = [Connection(f"{n}=", at, at + 1) for n, at in enumerate(created)]

    over = over_limit(connections, limit)

    kept = set(connections) - set(over)
    assert len(kept) == min(limit, len(connections))
    assert all(old.created_at <= new.created_at for old in over for new in kept)
    assert over == over_limit(reversed(connections), limit)
