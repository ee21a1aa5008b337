"""The limit of connections of a client at `$connect`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.domain.connection import Connection
from chalicelib.domain.limits import over_limit
from chalicelib.services import limits
from chalicelib.store import ConnectionStore
from tests.conftest import TABLE, Wire
from tests.support.connections import NO_DEADLINE, now_ms, tracked
from tests.support.connections_api import Answer, ConnectionsApi, api_in_use
from tests.support.events import connect_event, disconnect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]


api = pytest.fixture(api_in_use)


@pytest.fixture
def connections(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> ConnectionStore:
    """Return a store of an empty table, and have the functions use that table and a limit of 3."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "3")
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)


def connect(connection_id: str, client_id: str | None = "alice", at_ms: int | None = None) -> int:
    """Open a connection, and give the status that API Gateway sees."""
    query = {"clientId": [client_id]} if client_id else {}
    event = connect_event(connection_id, query=query)
    event["requestContext"]["connectedAt"] = now_ms() if at_ms is None else at_ms
    answer = app.connect(event, Context())
    return int(answer["statusCode"])


def put_connections(connections: ConnectionStore, api: ConnectionsApi, *ages_s: float) -> list[str]:
    """Have connections of alice, and give their ids."""
    ids = [f"{age:g}=" for age in ages_s]
    for connection_id, age in zip(ids, ages_s, strict=True):
        connections.put(tracked(connection_id, age, client_id="alice"))
    api.alive |= set(ids)
    return ids


def test_the_oldest_connection_goes_when_one_too_many_opens(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """The newest wins, and the row of the one that goes tells why."""
    theirs = put_connections(connections, api, 10, 20, 3000)

    assert connect("new=") == 200

    assert api.asked("DELETE") == ["3000="]
    assert api.alive == set(theirs[:2])
    replaced = connections.get("3000=")
    assert replaced is not None
    assert replaced.closing == "replaced"
    assert connections.get("new=") is not None
    [line] = [line for line in logged() if line["message"] == "replaced"]
    assert (line["clientId"], line["outcomes"]) == ("alice", {"3000=": "closed"})


def test_a_slow_handshake_closes_no_connection_that_is_newer_than_its_own(
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
) -> None:
    """The page was loaded again meanwhile; who waits for the older handshake is gone."""
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")
    enforce = limits.enforce_on_connect
    opened: list[str] = []

    def slow(connection: Connection, *rest: Any) -> None:
        if not opened:
            opened.append("newer=")
            connections.put(tracked("newer=", -1, client_id="alice"))
            api.alive.add("newer=")
        enforce(connection, *rest)

    monkeypatch.setattr(limits, "enforce_on_connect", slow)

    assert connect("older=") == 200

    assert api.alive == {"newer="}
    assert api.requests == [("GET", "newer=")]
    assert not [line for line in logged() if line["message"] == "limit not enforced"]


def test_the_end_of_a_replaced_connection_is_told_as_such(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """API Gateway reports it as a plain 1000."""
    put_connections(connections, api, 10, 20, 30)
    connect("new=")
    logged()

    app.disconnect(disconnect_event("30=", code=1000), Context())

    [line] = logged()
    assert (line["cause"], line["clientId"]) == ("replaced", "alice")


def test_all_that_are_too_many_go(connections: ConnectionStore, api: ConnectionsApi) -> None:
    """Also when the limit was lowered, or connects raced."""
    theirs = put_connections(connections, api, 10, 20, 30, 40, 50)

    connect("new=")

    assert sorted(api.asked("DELETE")) == theirs[2:]


def test_a_client_within_its_limit_loses_nothing(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The limit is how many there may be, the new one included."""
    put_connections(connections, api, 10, 20)

    assert connect("new=") == 200

    assert api.requests == []


def test_others_and_the_dead_do_not_count(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Only connections of this client that can be alive."""
    put_connections(connections, api, 10, 20, 8000)  # past 2 hours
    for number in range(5):
        connections.put(tracked(f"bob-{number}=", client_id="bob"))

    connect("new=")

    assert api.requests == []


def test_a_repeated_connect_counts_once(connections: ConnectionStore, api: ConnectionsApi) -> None:
    """A retry of the same `$connect` closes nothing more, least of all itself."""
    at_ms = now_ms()
    put_connections(connections, api, 10, 20)

    assert [connect("new=", at_ms=at_ms) for _ in range(3)] == [200, 200, 200]

    assert api.requests == []


def test_anonymous_connections_have_no_limit(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """Nobody knows whose they are; the calls are those of a registry without a limit."""
    ids = [f"{number}=" for number in range(5)]

    assert [connect(connection_id, client_id=None) for connection_id in ids] == [200] * 5

    assert all(connections.get(connection_id) for connection_id in ids)
    assert api.requests == []
    assert wire.calls == ["PutItem", "GetItem"] * 5


def test_without_a_limit_nobody_is_asked(
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The calls of a handshake are a put and a get."""
    monkeypatch.delenv("MAX_CONNECTIONS_PER_CLIENT")
    put_connections(connections, api, 10, 20, 30, 40)

    assert connect("new=") == 200

    assert wire.calls == ["PutItem", "GetItem"]
    assert api.requests == []


@pytest.mark.parametrize("failing", ["Query", "UpdateItem"])
def test_a_limit_that_cannot_be_enforced_refuses_nobody(
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    logged: Logged,
    failing: str,
) -> None:
    """The connection is tracked, the failure is logged, and the sweep puts it right."""
    theirs = put_connections(connections, api, 10, 20, 30)
    wire.errors[failing] = (400, "AccessDeniedException")

    assert connect("new=") == 200

    assert api.alive == set(theirs)
    assert connections.get("new=") is not None
    assert "ERROR" in [line["level"] for line in logged()]


def test_an_api_that_does_not_close_refuses_nobody(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """The outcome is in the log."""
    put_connections(connections, api, 10, 20, 30)
    answer = api.behave
    api.behave = lambda request: Answer(403) if request.method == "DELETE" else answer(request)

    assert connect("new=") == 200

    [line] = [line for line in logged() if line["message"] == "replaced"]
    assert line["outcomes"] == {"30=": "failed"}


def test_a_row_that_a_second_delivery_took_over_is_as_old_as_its_handshake() -> None:
    taken_over = Connection("old=", 90_000, 0, connected_at=1_000)
    newer = Connection("new=", 5_010, 0, connected_at=5_000)

    assert over_limit([newer, taken_over], 1) == [taken_over]


@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_what_is_left_are_the_newest(moments: list[int], limit: int, random: Any) -> None:
    """In whatever order they are read, and whatever opened in the same millisecond."""
    connections = [Connection(f"{n}=", moment, 0) for n, moment in enumerate(moments)]
    shuffled = random.sample(connections, len(connections))

    excess = over_limit(shuffled, limit)

    kept = set(connections) - set(excess)
    assert len(kept) == min(limit, len(connections))
    assert over_limit(connections, limit) == excess
    if excess:
        assert max(c.created_at for c in excess) <= min(c.created_at for c in kept)
