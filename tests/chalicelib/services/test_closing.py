"""Closing connections, on an in-process DynamoDB and a real HTTP server for `@connections`."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from bench.fanout.signatures import Received
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.connection import Intent
from chalicelib.services.closing import Closing
from chalicelib.settings import load
from chalicelib.store import ConnectionStore
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE, Wire, store_in_use
from tests.support.connections import NO_DEADLINE, now_ms, tracked
from tests.support.connections_api import (
    SILENT,
    Answer,
    ConnectionsApi,
    Fault,
    api_in_use,
    connection_of,
)
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


def goodbyes(api: ConnectionsApi) -> list[dict[str, Any]]:
    """Return the goodbyes that were posted."""
    return [json.loads(each.body) for each in api.received if each.method == "POST"]


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

    assert api.requests == [("POST", "one="), ("DELETE", "one=")]
    assert seen == ["kicked", "kicked"]
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
    assert api.asked("POST") == ["again="]
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
    {"connectionId": "one=", "reconnect": "yes"},
    {"connectionId": "one=", "reconnect": None},
    {"connectionId": "one=", "message": ""},
    {"connectionId": "one=", "message": "\ud800"},
    {"reconnect": True},
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


@pytest.mark.parametrize(
    ("request_fields", "told"),
    [
        ({}, ("the server has closed this connection", False)),
        ({"message": "é" * 512}, ("é" * 512, False)),
        ({"reconnect": True}, ("the server has closed this connection", True)),
        ({"message": "Back in a minute", "reconnect": True}, ("Back in a minute", True)),
    ],
)
def test_the_client_is_told_what_the_request_says(
    connections: ConnectionStore,
    api: ConnectionsApi,
    request_fields: dict[str, Any],
    told: tuple[str, bool],
) -> None:
    connections.put(tracked("one="))
    api.alive = {"one="}

    close(connectionId="one=", reason="secret", **request_fields)

    [goodbye] = goodbyes(api)
    assert (goodbye["reason"], goodbye["message"], goodbye["reconnect"]) == ("kicked", *told)


@pytest.mark.parametrize(
    ("reconnect", "told"),
    [(None, False), (True, True), (False, False)],
)
def test_a_close_that_is_left_to_the_sweep_says_the_same(
    connections: ConnectionStore,
    api: ConnectionsApi,
    *,
    reconnect: bool | None,
    told: bool,
) -> None:
    """Its message is not kept: the row stays small."""
    opened = tracked("late=", age_s=70)
    due = Intent("kicked", opened.created_at + 2_000, reconnect=reconnect, is_due=True)
    connections.put(opened)
    connections.mark_closing(opened, due)
    api.alive = {"late="}

    app.sweep({}, Context(60))

    [goodbye] = goodbyes(api)
    assert (goodbye["reason"], goodbye["reconnect"]) == ("kicked", told)
    assert goodbye["message"]
    assert api.alive == set()


@pytest.mark.parametrize("status", [403, 500, SILENT])
def test_a_close_that_is_left_to_the_sweep_is_tried_until_it_succeeds(
    connections: ConnectionStore, api: ConnectionsApi, status: int
) -> None:
    opened = tracked("late=", age_s=70)
    connections.put(opened)
    connections.mark_closing(opened, Intent("kicked", opened.created_at + 2_000, is_due=True))
    api.alive = {"late="}
    answer = api.behave

    def fail(request: Received) -> Answer | Fault:
        failed: Answer | Fault = "hang" if status == SILENT else Answer(status)
        return answer(request) if request.method == "GET" else failed

    api.behave = fail
    app.sweep({}, Context(60))
    assert api.alive == {"late="}
    api.behave = answer

    app.sweep({}, Context(60))

    assert api.alive == set()


def test_a_connection_that_does_not_open_in_time_is_closed_by_the_sweep(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.put(tracked("one=", age_s=2))
    monkeypatch.setattr("chalicelib.services.closing.NOT_OPEN_PAUSE_S", 60.0)

    assert close(connectionId="one=", reason="left the team") == {
        "connections": {"one=": "not open yet"}
    }
    api.alive = {"one="}
    monkeypatch.setattr("chalicelib.handlers.sweep.now_ms", lambda: now_ms() + 100_000)
    app.sweep({}, Context(60))

    assert api.alive == set()
    row = connections.get("one=")
    assert row is not None
    assert (row.closing, row.close_reason) == ("kicked", "left the team")


def test_a_mark_is_withdrawn_if_the_close_is_refused_after_the_connection_has_opened(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    connections.put(tracked("one=", age_s=2))
    api.behave = lambda _: Answer(403 if api.asked("POST")[1:] else 410)

    assert close(connectionId="one=") == {"connections": {"one=": "failed"}}

    row = connections.get("one=")
    assert row is not None
    assert (row.closing, row.close_due) == (None, None)


@pytest.mark.parametrize("status", [400, 403, 413, 429, 500, SILENT])
def test_a_goodbye_that_fails_stops_no_close(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged, status: int
) -> None:
    """It is tried once: the client meets a close that it cannot explain."""
    connections.put(tracked("one="))
    api.alive = {"one="}
    answer = api.behave

    def fail(request: Received) -> Answer | Fault:
        failed: Answer | Fault = "hang" if status == SILENT else Answer(status)
        return failed if request.method == "POST" else answer(request)

    api.behave = fail

    assert close(connectionId="one=") == {"connections": {"one=": "closed"}}

    assert api.requests == [("POST", "one="), ("DELETE", "one=")]
    row = connections.get("one=")
    assert row is not None
    assert row.closing == "kicked"
    [line] = [line for line in logged() if line["message"] == "no goodbye"]
    assert line["closedId"] == "one="


def test_a_client_that_obeys_before_the_close_is_closed(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """Its `$disconnect` finds the row, and tells who wanted the end."""
    connections.put(tracked("one=", age_s=300))
    api.alive = {"one="}

    def leave(method: str, _connection_id: str) -> None:
        if method == "DELETE":
            api.alive.clear()

    api.before = leave

    assert close(connectionId="one=") == {"connections": {"one=": "closed"}}

    app.disconnect(disconnect_event("one=", code=1000), Context())
    assert logged()[-1]["cause"] == "kicked"


def test_a_goodbye_of_unknown_fate_leaves_the_row_to_the_disconnect(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The answer was lost after the post, and the client has closed by itself since."""
    connections.put(tracked("one=", age_s=300))
    api.behave = lambda request: "cut" if request.method == "POST" else Answer(410)

    assert close(connectionId="one=") == {"connections": {"one=": "already gone"}}

    row = connections.get("one=")
    assert row is not None
    assert row.closing == "kicked"


def test_a_client_that_was_told_keeps_the_cause_when_the_close_fails(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """It closes by itself. One that was not told may stay, and keeps no cause."""
    for name in ("told=", "untold="):
        connections.put(tracked(name, client_id="alice"))
    answer = api.behave
    api.alive = {"told=", "untold="}

    def fail(request: Received) -> Answer | Fault:
        is_told = request.method == "POST" and connection_of(request) == "told="
        return answer(request) if is_told else Answer(403)

    api.behave = fail

    assert set(close(clientId="alice")["connections"].values()) == {"failed"}

    rows = [connections.get(name) for name in ("told=", "untold=")]
    assert [row.closing if row else "" for row in rows] == ["kicked", None]


def test_time_that_runs_out_between_goodbye_and_close_leaves_the_cause(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was told, so it closes by itself, and its end is still told as kicked."""
    connections.put(tracked("one="))
    api.alive = {"one="}
    in_time = ConnectionsApiClient.send_all

    def out_of_time(
        client: ConnectionsApiClient, calls: Iterator[Call], reply: Any, *left: Any, **how: Any
    ) -> Iterator[Call]:
        if api.asked("POST"):
            return calls
        return in_time(client, calls, reply, *left, **how)

    monkeypatch.setattr(ConnectionsApiClient, "send_all", out_of_time)

    assert close(connectionId="one=") == {"connections": {"one=": "failed"}}

    row = connections.get("one=")
    assert row is not None
    assert row.closing == "kicked"


def test_goodbyes_go_out_in_batches(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """Nobody waits for the goodbyes of thousands; each connection costs three calls."""
    api.alive = {f"{number}=" for number in range(101)}
    for connection_id in api.alive:
        connections.put(tracked(connection_id, client_id="alice"))
    wire.calls.clear()

    outcomes = close(clientId="alice")["connections"]

    assert list(outcomes.values()) == ["closed"] * 101
    assert [method for method, _ in api.requests] == [
        *["POST"] * 100,
        *["DELETE"] * 100,
        *("POST", "DELETE"),
    ]
    assert wire.calls.count("UpdateItem") == 101


def test_a_silent_client_is_not_spoken_to(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A post would wait in the buffers of a dead connection, and cost a message."""
    connection = tracked("one=")
    connections.put(connection)
    api.alive = {"one="}

    Closing(Cause.SILENT, connections, load(), Log({}), NO_DEADLINE).close([connection])

    assert api.requests == [("DELETE", "one=")]


def test_a_message_that_is_too_long_is_refused(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A cut sentence could say the opposite."""
    connections.put(tracked("one="))

    answer = close(connectionId="one=", message="é" * 513)

    assert "at most 1024 bytes" in answer["error"]["message"]
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
