"""The sweep closes connections whose tokens have expired, and no others."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.handlers.sweep import RESERVE_S
from chalicelib.services import closing
from chalicelib.store import ConnectionStore
from tests.chalicelib.handlers.test_sweep import end_of_time, rows, sweep
from tests.conftest import Wire, store_in_use
from tests.support.connections import tracked
from tests.support.connections_api import ConnectionsApi, api_in_use
from tests.support.events import CONNECTION_ID, disconnect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]
YEAR_2100 = 4_102_444_800

api = pytest.fixture(api_in_use)
connections = pytest.fixture(store_in_use)


@pytest.fixture
def put(connections: ConnectionStore, api: ConnectionsApi) -> Callable[..., None]:
    """Return a function that opens a connection whose token expires at a time (epoch s)."""

    def put(name: str, expires_at: int | None = 1, age_s: float = 300.0) -> None:
        connections.put(tracked(name, age_s, client_id="alice", expires_at=expires_at))
        api.alive.add(name)

    return put


def test_expired_connections_are_told_and_closed(
    dynamodb: DynamoDBClient, put: Callable[..., None], api: ConnectionsApi, logged: Logged
) -> None:
    """Each goodbye comes before the close. Rows without an expiry are of another kind."""
    for name, expires_at in (("a=", 1), ("b=", 1), ("valid=", YEAR_2100), ("endless=", None)):
        put(name, expires_at)
    put("young=", age_s=20)

    report = sweep()

    closed = {"a=", "b=", "young="}
    assert report["expired"] == 3
    assert api.alive == {"valid=", "endless="}
    for name in closed:
        asked = [method for method, told in api.requests if told == name and method != "GET"]
        assert asked == ["POST", "DELETE"]
    told = [json.loads(each.body) for each in api.received if each.method == "POST"]
    assert {(each["reason"], each["reconnect"]) for each in told} == {("expired", True)}
    causes = {name: row.get("closing", {}).get("S") for name, row in rows(dynamodb).items()}
    assert {name for name, cause in causes.items() if cause == "expired"} == closed
    [line] = [each for each in logged() if each["message"] == "closed expired connections"]
    assert line["outcomes"] == {"closed": 3}


def test_the_end_of_an_expired_connection_has_its_cause(
    put: Callable[..., None], logged: Logged
) -> None:
    put(CONNECTION_ID)
    sweep()

    app.disconnect(disconnect_event(), Context())

    assert logged()[-1]["cause"] == "expired"


def test_a_page_without_expired_connections_costs_nothing_more(
    put: Callable[..., None], api: ConnectionsApi, wire: Wire
) -> None:
    """An expired one costs one UpdateItem, one POST and one DELETE."""

    def cost_of_sweep() -> Counter[str]:
        wire.calls.clear()
        api.requests.clear()
        sweep()
        return Counter(wire.calls) + Counter(method for method, _ in api.requests)

    put("valid=", YEAR_2100)
    usual = cost_of_sweep()
    put("a=")
    put("b=")
    each = ("GET", "UpdateItem", "POST", "DELETE")

    assert cost_of_sweep() - usual == Counter(each) + Counter(each)


def test_a_dry_run_counts_them_and_closes_none(
    dynamodb: DynamoDBClient, put: Callable[..., None], api: ConnectionsApi, logged: Logged
) -> None:
    put("a=")
    before = rows(dynamodb)

    report = sweep(dryRun=True)

    assert report["expired"] == 1
    assert {method for method, _ in api.requests} == {"GET"}
    assert rows(dynamodb) == before
    [line] = [each for each in logged() if each["message"] == "would be closed"]
    assert line["expiredId"] == "a="


def test_a_handshake_that_may_still_run_is_left_alone(
    put: Callable[..., None], api: ConnectionsApi
) -> None:
    """`@connections` would answer 410 for it."""
    put("opening=", age_s=5)

    assert sweep()["expired"] == 0
    assert api.requests == []


def test_a_dead_one_is_an_orphan_and_is_not_told(
    dynamodb: DynamoDBClient, put: Callable[..., None], api: ConnectionsApi
) -> None:
    put("dead=")
    api.alive.clear()

    report = sweep()

    assert (report["expired"], report["removed"]["gone"]) == (0, 1)
    assert "dead=" not in rows(dynamodb)
    assert api.asked("POST") == []


def test_a_token_that_is_renewed_while_the_sweep_looks_keeps_the_connection(
    connections: ConnectionStore, put: Callable[..., None], api: ConnectionsApi, logged: Logged
) -> None:
    """The row was read before; the mark fails, so nothing is sent."""
    put("a=")
    renewed: list[bool] = []

    def renew(method: str, connection_id: str) -> None:
        if method == "GET":
            row = connections.get(connection_id)
            assert row
            renewed.append(connections.renew(row, YEAR_2100))

    api.before = renew

    report = sweep()

    assert (renewed, report["expired"]) == ([True], 0)
    assert api.alive == {"a="}
    assert {method for method, _ in api.requests} == {"GET"}
    [line] = [each for each in logged() if each["message"] == "closed expired connections"]
    assert line["outcomes"] == {"renewed": 1}


@pytest.mark.parametrize("at", ["POST", "DELETE"])
def test_a_token_that_comes_after_the_mark_is_too_late_and_the_client_is_told(
    connections: ConnectionStore, put: Callable[..., None], api: ConnectionsApi, at: str
) -> None:
    """Nobody is told to go on, and then closed."""
    put("a=")
    renewed: list[bool] = []

    def renew(method: str, connection_id: str) -> None:
        if method == at:
            row = connections.get(connection_id)
            assert row
            renewed.append(connections.renew(row, YEAR_2100))

    api.before = renew

    report = sweep()

    assert (renewed, report["expired"]) == ([False], 1)
    assert api.asked("POST") == ["a="]


def test_what_is_not_reached_in_time_is_closed_by_the_next_sweep(
    put: Callable[..., None], api: ConnectionsApi
) -> None:
    names = {f"{number}=" for number in range(5)}
    for name in names:
        put(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "BATCH", 1)  # else all goodbyes may be on their way by then
        end = end_of_time(patch, 60 - RESERVE_S + 1)
        api.before = lambda method, _: end() if method == "POST" else None
        first = sweep()
    api.before = lambda _method, _connection_id: None

    second = sweep()

    assert first["expired"] < len(names)
    assert first["expired"] + second["expired"] == len(names)
    assert api.alive == set()


def test_a_connection_that_cannot_be_closed_stops_no_other(
    put: Callable[..., None], api: ConnectionsApi
) -> None:
    for name in ("a=", "denied=", "z="):
        put(name)
    api.statuses["denied="] = 403

    assert sweep()["expired"] == 2
    assert api.alive == {"denied="}
