"""A tracked connection as a value."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.connection import Connection, opened


def test_an_opened_connection_has_times_in_both_units() -> None:
    """`createdAt` is in ms and `ttl` in s, counted from the same moment."""
    connection = opened("L0SM9cOFvHcCIhw=", now_ms=1731324924561, ttl_seconds=86_400)

    assert connection.row() == {
        "connectionId": "L0SM9cOFvHcCIhw=",
        "createdAt": 1731324924561,
        "ttl": 1731411324,
        "clientId": "unknown",
    }


@given(st.integers(0, 10**14), st.integers(1, 10**10))
def test_a_row_outlives_the_moment_it_was_written(now_ms: int, ttl_seconds: int) -> None:
    """The time to live is never over when the row is written, whatever the rounding."""
    assert opened("id", now_ms, ttl_seconds).ttl * 1000 > now_ms - 1000 + ttl_seconds * 1000 - 1


def test_a_connection_is_compared_by_value() -> None:
    """Verification compares what was written with what was read back."""
    assert Connection("id", 1, 2) == Connection("id", 1, 2)
    assert Connection("id", 1, 2) != Connection("id", 1, 3)
