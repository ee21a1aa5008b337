from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.connection import Connection
from chalicelib.domain.limits import over_limit


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 8))
def test_the_newest_connections_stay(created: list[int], limit: int) -> None:
    connections = [Connection(f"{n}=", at, at + 1) for n, at in enumerate(created)]

    over = over_limit(connections, limit)

    kept = set(connections) - set(over)
    assert len(kept) == min(limit, len(connections))
    assert all(old.created_at <= new.created_at for old in over for new in kept)
    # the same for every caller, also among connections of the same ms
    assert over == over_limit(reversed(connections), limit)
    assert over == sorted(over, key=lambda c: (c.created_at, c.connection_id), reverse=True)
