"""Silent clients, on an in-process DynamoDB and a real HTTP server for `@connections`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import app
from bench.fanout.signatures import Received
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain.close_causes import Cause
from chalicelib.services.probing import Prober
from chalicelib.services.silence import close_silent
from chalicelib.settings import load
from chalicelib.store import ConnectionStore
from chalicelib.telemetry.logs import Log
from tests.conftest import Wire, store_in_use
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.connections_api import (
    SILENT,
    Answer,
    ConnectionsApi,
    Fault,
    api_in_use,
    connection_of,
)
from tests.support.events import disconnect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]

api = pytest.fixture(api_in_use)


@pytest.fixture
def connections(
    dynamodb: Any, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> ConnectionStore:
    """Return a store of a connection `live=` and one `silent=`; clients are silent after 90 s."""
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", "30")
    monkeypatch.setenv("SILENT_AFTER_SECONDS", "90")
    store = store_in_use(dynamodb, monkeypatch)
    for name, seconds in (("live=", 10), ("silent=", 95)):
        store.put(tracked(name, age_s=300))
        api.alive.add(name)
        api.last_active[name] = ago(seconds)
    return store


def ago(seconds: float) -> str:
    """Return a time as `@connections` writes it."""
    return datetime.fromtimestamp(now_ms() / 1000 - seconds, UTC).isoformat()


def put_two_of_alice(connections: ConnectionStore, api: ConnectionsApi) -> None:
    """Have a client with a connection that speaks and an older one that is silent."""
    for name, seconds, age_s in (("new=", 10, 200), ("old=", 100, 300)):
        connections.put(tracked(name, age_s, client_id="alice"))
        api.alive.add(name)
        api.last_active[name] = ago(seconds)


def sweep(seconds: float = 60.0, **event: Any) -> Any:
    return app.sweep(event, Context(seconds))


def test_a_silent_client_is_closed_without_a_goodbye(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """It costs a second look, an update and a close. The others cost what they cost anyway."""
    report = sweep()

    assert api.alive == {"live="}
    assert sorted(api.requests) == [
        *(("DELETE", "silent="), ("GET", "live="), ("GET", "silent="), ("GET", "silent=")),
    ]
    assert [call for call in wire.calls if call not in ("Scan", "PutItem")] == [
        *("UpdateItem", "UpdateItem"),  # the lease, and the mark
    ]
    assert (report["silent"], report["live"], report["removed"]["gone"]) == (1, 1, 0)
    marked = connections.get("silent=")
    assert marked is not None
    assert marked.closing == "silent"


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006])
@pytest.mark.usefixtures("connections")
def test_its_end_is_told_as_silent(logged: Logged, code: int) -> None:
    sweep()

    app.disconnect(disconnect_event("silent=", code=code), Context())

    assert logged()[-1]["cause"] == "silent"


def test_without_the_setting_nobody_is_silent(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SILENT_AFTER_SECONDS")
    before = connections.get("silent=")

    assert sweep()["silent"] == 0

    assert sorted(api.requests) == [("GET", "live="), ("GET", "silent=")]
    assert connections.get("silent=") == before


@pytest.mark.parametrize("at", [None, "", "soon", "2999-01-01T00:00:00Z"])
@pytest.mark.usefixtures("connections")
def test_a_time_that_says_nothing_closes_nobody(api: ConnectionsApi, at: str | None) -> None:
    """Missing, not a time, or still to come."""
    if at is None:
        del api.last_active["silent="]
    else:
        api.last_active["silent="] = at

    assert sweep()["silent"] == 0

    assert api.asked("DELETE") == []


def test_a_client_that_speaks_after_the_first_look_stays(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The others of its page take their time, so it is looked at again just before."""

    def speak(method: str, connection_id: str) -> None:
        if (method, connection_id) == ("GET", "silent=") and api.requests.count(
            ("GET", "silent=")
        ) == 2:
            api.last_active["silent="] = ago(0)

    api.before = speak

    assert sweep()["silent"] == 0

    assert api.alive == {"live=", "silent="}
    row = connections.get("silent=")
    assert row is not None
    assert row.closing is None


def test_a_client_that_ends_meanwhile_is_told_once(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """Its `$disconnect` comes between the second look and the mark, which makes no row."""

    def leave(method: str, connection_id: str) -> None:
        if (method, connection_id) == ("GET", "silent=") and connections.get("silent="):
            app.disconnect(disconnect_event("silent=", code=1001), Context())

    api.before = leave

    sweep()

    assert connections.get("silent=") is None
    assert [line["cause"] for line in logged() if "Closed" in line] == ["going_away"]


def test_a_row_that_is_another_s_by_now_is_not_marked(
    connections: ConnectionStore,
) -> None:
    """It keeps the story of the connection that was registered meanwhile."""
    judged = connections.get("silent=")
    assert judged is not None
    newer = replace(judged, created_at=judged.created_at + 1)
    connections.delete("silent=")
    connections.put(newer)
    config = load()
    prober = Prober(config.management_endpoint, now_ms(), NO_DEADLINE, silent_after_s=90)

    close_silent([judged], prober, connections, config, Log({}), NO_DEADLINE)

    assert connections.get("silent=") == newer


@pytest.mark.parametrize("status", [403, 500, SILENT])
def test_a_close_that_fails_is_left_to_the_next_pass(
    connections: ConnectionStore, api: ConnectionsApi, status: int
) -> None:
    answer = api.behave

    def fail(request: Received) -> Answer | Fault:
        if request.method != "DELETE":
            return answer(request)
        return "hang" if status == SILENT else Answer(status)

    api.behave = fail
    assert sweep(seconds=30.0)["silent"] == 0
    assert connections.get("silent=") is not None
    api.behave = answer

    assert sweep()["silent"] == 1


def test_a_close_that_was_carried_out_without_an_answer_is_told_as_silent(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """The next try finds the connection gone. Its `$disconnect` is on its way."""
    answer = api.behave

    def lose(request: Received) -> Answer | Fault:
        reaction = answer(request)
        return Answer(500) if reaction == Answer(204) else reaction

    api.behave = lose

    sweep()
    app.disconnect(disconnect_event("silent=", code=1000), Context())

    assert api.asked("DELETE") == ["silent=", "silent="]
    assert connections.get("silent=") is None
    assert [line["cause"] for line in logged() if "Closed" in line] == ["silent"]


def test_a_close_for_which_there_is_no_time_is_left_to_the_next_pass(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Nothing is marked either."""
    judged = connections.get("silent=")
    assert judged is not None
    config = load()
    prober = Prober(config.management_endpoint, now_ms(), NO_DEADLINE, silent_after_s=90)
    short = Deadline(NO_DEADLINE.at).within(5.0)

    assert close_silent([judged], prober, connections, config, Log({}), short) == 0

    assert api.asked("DELETE") == []
    assert connections.get("silent=") == judged


def test_a_dry_run_only_counts(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    before = connections.get("silent=")

    report = sweep(dryRun=True)

    assert (report["silent"], report["live"]) == (1, 1)
    assert sorted(api.requests) == [("GET", "live="), ("GET", "silent=")]
    assert connections.get("silent=") == before
    assert [line["silentId"] for line in logged() if line["message"] == "would be closed"] == [
        "silent="
    ]


def test_a_silent_connection_does_not_count_for_the_limit(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose old connection is dead keeps the new one, although that is over the limit."""
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")
    put_two_of_alice(connections, api)

    report = sweep()

    assert (report["silent"], report["replaced"]) == (2, 0)
    assert "new=" in api.alive
    assert api.asked("POST") == []


def test_a_client_over_its_limit_is_kept_in_mind_while_one_of_its_connections_looks_silent(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be closed, and its network may return."""
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")
    put_two_of_alice(connections, api)
    answer = api.behave

    def refuse(request: Received) -> Answer | Fault:
        return Answer(403) if request.method == "DELETE" else answer(request)

    api.behave = refuse
    first = sweep()
    api.behave = answer
    api.last_active["old="] = ago(1)

    second = sweep()

    assert (first["silent"], first["live"]) == (0, 4)
    assert second["replaced"] == 1
    assert "old=" not in api.alive


def test_only_the_silent_are_closed_among_many(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    names = [f"{number:03}=" for number in range(150)]
    for number, name in enumerate(names):
        connections.put(tracked(name, age_s=300))
        api.alive.add(name)
        api.last_active[name] = ago(200 if number % 10 == 0 else 20)

    assert sweep()["silent"] == 16

    assert sorted(api.asked("DELETE")) == [*names[::10], "silent="]
    assert {Cause.SILENT} == {row.closing for name in names[::10] if (row := connections.get(name))}
    assert {connection_of(request) for request in api.received} == {*names, "live=", "silent="}
