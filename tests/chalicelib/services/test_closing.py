"""Closing connections, on an in-process DynamoDB and a real HTTP server for `@connections`."""

from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.domain.close_causes import Cause
from chalicelib.services.closing import Closing
from chalicelib.settings import load
from chalicelib.store import ConnectionStore
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE, Wire, store_in_use
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.connections_api import ConnectionsApi, api_in_use
from tests.support.embedded_metrics import assert_counts
from tests.support.event_bus import BUS, listen
from tests.support.events import disconnect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]


api = pytest.fixture(api_in_use)
connections = pytest.fixture(store_in_use)


def close(seconds: float = 30.0, **event: Any) -> Any:
    """Invoke the function, with so many seconds until Lambda would end it."""
    return app.close(event, Context(seconds))


def test_a_connection_is_closed_by_its_id(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The cause is in its row when API Gateway reports the end as a plain 1000."""
    other = tracked("other=")
    connections.put(tracked("one="))
    connections.put(other)
    api.alive = {"one=", "other="}
    seen = []

    def look(_method: str, connection_id: str) -> None:
        found = connections.get(connection_id)
        seen.append(found.closing if found else None)

    api.before = look

    assert close(connectionId="one=") == {"connections": {"one=": "closed"}}

    assert api.requests == [("DELETE", "one=")]
    assert seen == ["kicked"]
    assert connections.get("other=") == other


def test_the_connections_of_a_client_are_closed(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """All of them, and nobody else's."""
    for connection_id, client_id in (("a1=", "alice"), ("a2=", "alice"), ("b1=", "bob")):
        connections.put(tracked(connection_id, client_id=client_id))
    api.alive = {"a1=", "a2=", "b1="}

    answer = close(clientId="alice")

    assert answer == {"connections": {"a1=": "closed", "a2=": "closed"}}
    assert api.alive == {"b1="}


def test_each_outcome_is_told(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """One that is closed, one that is gone, one that API Gateway refuses to close."""
    for name in ("open=", "gone=", "denied="):
        connections.put(tracked(name, client_id="alice"))
    api.alive = {"open=", "denied="}
    api.statuses["denied="] = 403

    answer = close(clientId="alice", reason="left the team")

    outcomes = {"open=": "closed", "gone=": "already gone", "denied=": "failed"}
    assert answer == {"connections": outcomes}
    line = logged()[-1]
    assert (line["message"], line["reason"]) == ("closed", "left the team")
    assert line["outcomes"] == outcomes


def test_a_failure_that_passes_is_tried_again(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Throttling does not make a close fail at once."""
    connections.put(tracked("busy="))
    api.alive = {"busy="}
    api.statuses["busy="] = 429

    def relent(_method: str, _connection_id: str) -> None:
        if len(api.requests) == 3:
            api.statuses.clear()

    api.before = relent

    assert close(connectionId="busy=") == {"connections": {"busy=": "closed"}}
    assert len(api.requests) == 3


def test_a_connection_without_a_row_is_already_gone(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """What is not tracked cannot be addressed."""
    assert connections.get("nobody=") is None

    assert close(connectionId="nobody=") == {"connections": {"nobody=": "already gone"}}
    assert close(clientId="nobody") == {"connections": {}}
    assert api.requests == []


def test_the_row_of_a_connection_that_is_gone_goes_past_the_grace_only(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API Gateway answers "gone" as well for a connection that is being opened."""
    monkeypatch.setenv("EVENT_BUS", BUS)
    announced = listen()
    connections.put(tracked("dead=", age_s=61))
    connections.put(tracked("opening=", age_s=30))

    for name in ("dead=", "opening="):
        assert close(connectionId=name) == {"connections": {name: "already gone"}}

    assert len(api.requests) == 2
    assert connections.get("dead=") is None
    assert connections.get("opening=") is not None
    assert [(d["connectionId"], d["cause"]) for d in announced()] == [("dead=", "orphaned")]


def test_without_time_nothing_is_begun(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """What cannot be closed before Lambda ends the function is not marked and has failed."""
    connections.put(tracked("open="))
    api.alive = {"open="}

    assert close(seconds=1, connectionId="open=")["error"]["code"] == "store"

    assert api.requests == []
    assert wire.calls == []


def test_a_row_that_cannot_be_marked_is_not_closed(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire, logged: Logged
) -> None:
    """Its end would pass for the client's own."""
    connections.put(tracked("open="))
    api.alive = {"open="}
    wire.errors["UpdateItem"] = (400, "AccessDeniedException")

    assert close(connectionId="open=") == {"connections": {"open=": "failed"}}

    assert api.requests == []
    assert "could not mark connection for closing" in [line["message"] for line in logged()]


def test_a_row_that_is_another_s_by_now_is_not_marked(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A connection that was registered meanwhile keeps its own story."""
    judged, newer = tracked("again=", age_s=300), tracked("again=", age_s=0)
    connections.put(newer)

    outcomes = Closing(Cause.KICKED, connections, load(), Log({}), NO_DEADLINE).close([judged])

    assert outcomes == {"again=": "already gone"}
    assert api.asked("DELETE") == ["again="]
    assert connections.get("again=") == newer
    assert len(dynamodb.scan(TableName=TABLE)["Items"]) == 1


def test_a_close_is_told_as_kicked_by_the_disconnect_and_announced_once(
    connections: ConnectionStore,
    api: ConnectionsApi,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`$disconnect` reports 1000 for it, which alone would be the client's own close."""
    monkeypatch.setenv("EVENT_BUS", BUS)
    announced = listen()
    connections.put(tracked("one=", client_id="alice"))
    api.alive = {"one="}

    close(connectionId="one=")
    app.disconnect(disconnect_event("one=", code=1000), Context())

    [detail] = announced()
    assert (detail["clientId"], detail["cause"], detail["code"]) == ("alice", "kicked", 1000)
    [line] = [line for line in logged() if line["message"] == "disconnected"]
    assert line["cause"] == "kicked"


def test_a_disconnect_that_overtakes_the_close_is_the_one_that_tells(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client left between the mark and the close: one announcement, by `$disconnect`."""
    monkeypatch.setenv("EVENT_BUS", BUS)
    announced = listen()
    connections.put(tracked("one="))
    leave = disconnect_event("one=", code=1001)
    api.before = lambda _method, _connection_id: app.disconnect(leave, Context())

    assert close(connectionId="one=") == {"connections": {"one=": "already gone"}}

    assert [detail["cause"] for detail in announced()] == ["going_away"]


BAD: list[Any] = [
    None,
    [],
    {},
    {"reason": "why"},
    {"connectionId": ""},
    {"connectionId": 7},
    {"clientId": None},
    {"connectionId": "one=", "clientId": "alice"},
    {"connectionId": "one=", "reason": 7},
    {"connectionId": "one=", "force": "yes"},
]


@pytest.mark.parametrize("event", BAD, ids=repr)
@pytest.mark.usefixtures("connections")
def test_a_wrong_request_is_told_what_is_accepted(event: Any, api: ConnectionsApi) -> None:
    """It is answered, closes nothing and raises nothing."""
    answer = app.close(event, Context())

    assert list(answer) == ["error"]
    assert repr(event) in answer["error"]["message"]
    assert '{"connectionId": "…"}' in answer["error"]["message"]
    assert api.requests == []


def test_a_failure_is_answered_and_logged(
    connections: ConnectionStore, wire: Wire, logged: Logged
) -> None:
    """Nobody is told that nothing was open when DynamoDB could not be asked."""
    connections.put(tracked("one="))
    wire.errors["GetItem"] = (400, "AccessDeniedException")

    answer = close(connectionId="one=")

    assert "AccessDeniedException" in answer["error"]["message"]
    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "close failed")
    assert assert_counts(line) == {"Failures": (1, "Count")}


def test_a_long_reason_is_cut(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """A line of the log stays a line."""
    connections.put(tracked("one="))
    api.alive = {"one="}

    close(connectionId="one=", reason="x" * 10_000)

    assert logged()[-1]["reason"] == "x" * 128


def test_connections_are_grouped_by_their_api() -> None:
    """Each stage of each API has its own address, unless one is set for all."""
    one, two, other = tracked("1="), tracked("2="), tracked("3=", stage="prod")

    groups = by_endpoint([one, other, two], "")

    assert {endpoint.prefix: group for endpoint, group in groups.items()} == {
        "/dev": [one, two],
        "/prod": [other],
    }
    [(endpoint, group)] = by_endpoint([one, other, two], "http://127.0.0.1:1/x").items()
    assert (endpoint.port, endpoint.prefix, group) == (1, "/x", [one, other, two])


@pytest.mark.parametrize(
    "attributes",
    [
        {"api_id": None},
        {"region": None},
        {"stage": None},
        {"api_id": "x?y"},
        {"api_id": "x/#y"},
        {"api_id": "x]"},
        {"stage": "a?b"},
        {"region": "x:port/"},
    ],
    ids=repr,
)
def test_a_row_without_a_usable_address_is_left_out(attributes: dict[str, Any]) -> None:
    """One bad row stops nothing."""
    good = tracked("good=")

    groups = by_endpoint([tracked("bad=", **attributes), good], "")

    assert list(groups.values()) == [[good]]
