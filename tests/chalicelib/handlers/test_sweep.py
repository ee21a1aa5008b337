"""The sweep, on an in-process DynamoDB and a real HTTP server for `@connections`."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib import clock, reader, settings
from chalicelib.clock import Deadline
from chalicelib.domain.connection import Intent
from chalicelib.domain.errors import StoreError
from chalicelib.domain.sweep_position import SWEEP_ROW, Position
from chalicelib.handlers import sweep as handler
from chalicelib.handlers.sweep import REMOVAL_S, RESERVE_S, report_of
from chalicelib.services import table_pass
from chalicelib.services.probing import Prober
from chalicelib.services.table_pass import TablePass
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE, Wire, store_in_use
from tests.support.connections import NO_DEADLINE, now_ms, tracked
from tests.support.connections_api import ConnectionsApi, api_in_use
from tests.support.event_bus import BUS, listen
from tests.support.events import disconnect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]

OLD_S = 3 * 3600.0
REQUEST_S = 3.0  # what one probe may take


api = pytest.fixture(api_in_use)
connections = pytest.fixture(store_in_use)


def sweep(seconds: float = 60.0, **event: Any) -> Any:
    """Invoke the function, with so many seconds until Lambda would end it."""
    return app.sweep(event, Context(seconds))


def rows(client: DynamoDBClient) -> dict[str, dict[str, Any]]:
    """Return every row by its id, the sweep's own position too."""
    items = client.scan(TableName=TABLE)["Items"]
    return {item["connectionId"]["S"]: item for item in items}


def left(client: DynamoDBClient) -> list[str]:
    """Return the ids of the connections that have a row, in order."""
    return sorted(rows(client).keys() - {SWEEP_ROW})


def run_of(connections: ConnectionStore, seconds: float, **options: Any) -> TablePass:
    """Make a run that may go on for so many seconds."""
    deadline = Deadline(time.monotonic() + seconds)
    config = settings.load()
    prober = Prober(config.management_endpoint, now_ms(), deadline.minus(REMOVAL_S), **options)
    progress = SweepProgress(connections.client, TABLE, NO_DEADLINE)
    return TablePass(connections, progress, config, Log({}), prober, deadline)


def end_of_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Callable[..., None]:
    """Return a hook after which `seconds` seem to have passed."""
    present = SimpleNamespace(monotonic=time.monotonic, time_ns=time.time_ns)
    monkeypatch.setattr(clock, "time", present)

    def end(**_: object) -> None:
        the_end = time.monotonic() + seconds
        present.monotonic = lambda: the_end

    return end


def report_on(run: TablePass) -> dict[str, Any]:
    """Run and return the report."""
    return report_of(run, run.run(), now_ms())[1]


# What is dead


def test_an_old_row_goes_without_a_probe(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """API Gateway ends every connection after 2 hours: nobody has to be asked."""
    connections.put(tracked("old=", OLD_S))
    api.alive = {"old="}

    report = sweep()

    assert left(dynamodb) == []
    assert api.requests == []
    assert report["removed"] == {"tooOld": 1, "gone": 0}
    assert report["probed"] == 0


def test_a_connection_that_is_gone_loses_its_row_and_a_live_one_keeps_it(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Each connection between the grace and 2 hours is looked at once."""
    connections.put(tracked("dead="))
    connections.put(tracked("live="))
    api.alive = {"live="}

    report = sweep()

    assert left(dynamodb) == ["live="]
    assert api.requests.count(("GET", "dead=")) == api.requests.count(("GET", "live=")) == 1
    assert report["removed"] == {"tooOld": 0, "gone": 1}
    assert (report["live"], report["probed"]) == (1, 2)


def test_a_row_within_the_grace_stays_whatever_a_probe_would_say(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """While `$connect` runs, API Gateway answers "gone" for the connection that it opens."""
    connections.put(tracked("opening=", age_s=30))

    report = sweep()

    assert left(dynamodb) == ["opening="]
    assert api.requests == []
    assert report["live"] == 1


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_an_answer_other_than_gone_proves_nothing(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi, status: int
) -> None:
    """The row stays, counts as alive, and is reported as skipped."""
    connections.put(tracked("perhaps="))
    api.statuses["perhaps="] = status

    report = sweep()

    assert left(dynamodb) == ["perhaps="]
    assert (report["live"], report["skipped"]) == (1, 1)


@pytest.mark.parametrize("denied", [{"a=", "b="}, {"a="}])
def test_a_run_whose_probes_are_all_denied_says_why(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged, denied: set[str]
) -> None:
    """With one other answer it says nothing: the requests are allowed."""
    for name in ("a=", "b="):
        connections.put(tracked(name))
    api.alive = {"a=", "b="} - denied
    api.statuses = dict.fromkeys(denied, 403)

    assert sweep()["probed"] == 2

    explained = [each["error"] for each in logged() if each["level"] == "ERROR"]
    assert len(explained) == (len(denied) == 2)
    assert all(f"APIGATEWAYMANAGEMENTAPI is {api.url!r}" in each for each in explained)


def test_silence_proves_nothing(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A probe without an answer is given up on, and the run goes on."""
    connections.put(tracked("silent="))
    connections.put(tracked("dead="))
    api.silence("silent=")

    report = sweep()

    assert left(dynamodb) == ["silent="]
    assert (report["finished"], report["skipped"]) == (True, 1)


def test_a_connection_registered_meanwhile_under_the_same_id_survives(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Only the row that was judged is removed."""
    connections.put(tracked("again="))
    newer = tracked("again=", age_s=0)
    api.before = lambda _method, _connection_id: connections.put(newer)

    report = sweep()

    assert left(dynamodb) == ["again="]
    assert connections.get("again=") == newer
    assert report["removed"] == {"tooOld": 0, "gone": 0}


# One bad row never stops it


@pytest.mark.usefixtures("api")
def test_a_second_run_stops_while_the_first_is_active(
    dynamodb: DynamoDBClient, connections: ConnectionStore, logged: Logged
) -> None:
    """Its lease ends with the invocation, or when the position is saved."""
    connections.put(tracked("old=", OLD_S))
    progress = SweepProgress(dynamodb, TABLE, NO_DEADLINE)
    progress.begin(now_ms(), now_ms() + 60_000)

    assert sweep()["error"]["code"] == "active"
    assert left(dynamodb) == ["old="]
    assert [line["message"] for line in logged()] == ["another run is active"]

    progress.save(Position(None, now_ms()))
    assert sweep()["removed"]["tooOld"] == 1
    assert sweep()["finished"]


@pytest.mark.usefixtures("api", "connections")
def test_an_expired_row_that_was_never_a_connection_is_removed(
    dynamodb: DynamoDBClient, logged: Logged
) -> None:
    for connection_id, ttl in (("expired=", "1731324924"), ("later=", "4102444800")):
        row: Any = {"connectionId": {"S": connection_id}, "ttl": {"S": ttl}}
        dynamodb.put_item(TableName=TABLE, Item=row)

    sweep(dryRun=True)
    assert left(dynamodb) == ["expired=", "later="]
    sweep()

    assert left(dynamodb) == ["later="]
    removed = [line for line in logged() if line["message"] == "removed malformed rows"]
    assert [line["malformedIds"] for line in removed] == [["expired="]]


def test_a_malformed_row_is_named_and_left(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """The connections before and after it are swept."""
    connections.put(tracked("a="))
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": "b="}, "ttl": {"S": "soon"}})
    connections.put(tracked("c="))

    report = sweep()

    assert left(dynamodb) == ["b="]
    assert (report["finished"], report["skipped"]) == (True, 1)
    assert len(api.requests) == 2
    [warning] = [line for line in logged() if line["message"] == "malformed rows"]
    assert warning["malformedIds"] == ["b="]


def test_a_row_that_does_not_tell_its_api_stays_until_it_is_too_old(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Rows of an earlier version of the application name no API."""
    connections.put(tracked("before=", api_id=None))
    connections.put(tracked("long-before=", OLD_S, api_id=None))

    report = sweep()

    assert left(dynamodb) == ["before="]
    assert api.requests == []
    assert report["skipped"] == 1


@pytest.mark.usefixtures("api")
def test_a_row_that_dynamodb_does_not_remove_does_not_stop_the_rest(
    connections: ConnectionStore, wire: Wire, logged: Logged
) -> None:
    """What could not be removed is found again by the next sweep."""
    connections.put(tracked("old=", OLD_S))
    wire.errors["DeleteItem"] = (400, "AccessDeniedException")

    report = sweep()

    assert report["finished"]
    assert report["removed"] == {"tooOld": 0, "gone": 0}
    assert "row not removed" in [line["message"] for line in logged()]
    wire.errors.clear()
    assert sweep()["removed"] == {"tooOld": 1, "gone": 0}


# Any table size, a bounded time


def test_every_page_is_swept(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the row that a page ended with is removed before the next page is read."""
    monkeypatch.setattr(reader, "PAGE_ROWS", 10)
    ids = [f"{number:02}=" for number in range(35)]
    for connection_id in ids:
        connections.put(tracked(connection_id))
    api.alive = set(ids[::2])

    report = sweep()

    assert left(dynamodb) == ids[::2]
    assert sorted(api.asked("GET")) == ids
    assert (report["finished"], report["live"], report["removed"]["gone"]) == (True, 18, 17)


def test_what_a_run_did_not_reach_is_first_in_the_next(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Runs that are too short for the table, or for one page, reach each connection in turn."""
    ids = [f"{number:02}=" for number in range(20)]
    for connection_id in ids:
        connections.put(tracked(connection_id))
    api.alive = set(ids[:15])
    asked: list[list[str]] = []
    reports: list[dict[str, Any]] = []

    while not reports or (not reports[-1]["finished"] and len(reports) < 100):
        # 0.3 s for probes at 20 a second: 7 of the 20 at most
        run = run_of(connections, 0.3 + REQUEST_S + REMOVAL_S, probes_a_second=20)
        reports.append(report_on(run))
        asked.append(sorted(api.asked("GET")))
        api.requests.clear()

    assert reports[-1]["finished"]
    assert max(map(len, asked)) <= 7
    assert [connection_id for part in asked for connection_id in part] == ids
    assert left(dynamodb) == ids[:15]
    assert reports[-1]["live"] == 15
    # WHEN the pass is complete THEN the next run begins a new one
    assert sweep()["probed"] == 15


@pytest.mark.usefixtures("api")
def test_removals_end_with_the_time(
    dynamodb: DynamoDBClient, connections: ConnectionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that could not be removed in time are the first of the next run."""
    for number in range(40):
        connections.put(tracked(f"{number:02}=", OLD_S))
    run = run_of(connections, 60)
    end = end_of_time(monkeypatch, 60)
    dynamodb.meta.events.register("before-call.dynamodb.DeleteItem", end)

    found = report_on(run)

    removed = found["removed"]["tooOld"]
    monkeypatch.setattr(clock, "time", time)
    assert not found["finished"]
    assert 1 <= removed <= 8  # as many as were being removed when the time was up
    assert len(left(dynamodb)) == 40 - removed
    assert sweep()["removed"]["tooOld"] == 40 - removed
    assert left(dynamodb) == []


def test_without_time_nothing_is_done_and_the_next_run_starts_anew(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A run that Lambda is about to end does not begin anything."""
    connections.put(tracked("dead="))
    connections.put(tracked("old=", OLD_S))

    report = sweep(seconds=RESERVE_S + 2.5)

    assert not report["finished"]
    assert api.requests == []
    assert left(dynamodb) == ["dead=", "old="]
    assert sweep()["removed"] == {"tooOld": 1, "gone": 1}


def test_a_run_that_dynamodb_ends_has_written_down_how_far_it_came(
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large table that throttles its reader is got through all the same."""
    monkeypatch.setattr(reader, "PAGE_ROWS", 3)  # the sweep's own row is one of them
    for connection_id in ("a=", "b=", "c=", "d="):
        connections.put(tracked(connection_id))
    api.alive = {"a=", "b=", "c=", "d="}

    def throttle(_method: str, _connection_id: str) -> None:
        wire.errors["Scan"] = (400, "ProvisionedThroughputExceededException")

    api.before = throttle
    with pytest.raises(StoreError, match="ProvisionedThroughputExceeded"):
        sweep()
    assert logged()[-1]["message"] == "sweep failed"
    wire.errors.clear()
    api.before = lambda _method, _connection_id: None
    api.requests.clear()

    report = sweep()

    assert sorted(api.asked("GET")) == ["c=", "d="]
    assert (report["finished"], report["live"]) == (True, 4)


# Several at once


@pytest.fixture
def announced(
    connections: ConnectionStore,  # noqa: ARG001 - the mocked services have to be there first
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], list[dict[str, Any]]]:
    """Have the functions announce, and give a function that reads what they did."""
    monkeypatch.setenv("EVENT_BUS", BUS)
    return listen()


def once(action: Callable[[], object]) -> Callable[[str, str], None]:
    """Make a hook of `@connections` that acts before the first request only."""
    left_to_do = [action]

    def before(_method: str, _connection_id: str) -> None:
        if left_to_do:
            left_to_do.pop()()

    return before


def test_of_two_sweeps_at_once_one_does_the_work(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    announced: Callable[[], list[dict[str, Any]]],
) -> None:
    """Each dead row is removed, counted and announced by the first; the second stops."""
    for number in range(6):
        connections.put(tracked(f"{number}="))
    connections.put(tracked("old=", OLD_S))
    api.alive = {"0=", "1=", "2="}
    reports = []
    api.before = once(lambda: reports.append(sweep()))

    reports.append(sweep())

    assert left(dynamodb) == ["0=", "1=", "2="]
    assert reports[0]["error"]["code"] == "active"
    assert sum(reports[1]["removed"].values()) == 4
    assert sorted(detail["connectionId"] for detail in announced()) == ["3=", "4=", "5=", "old="]


def test_a_disconnect_that_comes_during_the_probe_is_the_one_that_tells(
    connections: ConnectionStore,
    api: ConnectionsApi,
    announced: Callable[[], list[dict[str, Any]]],
) -> None:
    """The sweep finds the row gone, and neither counts nor announces it."""
    connections.put(tracked("leaving="))
    leave = disconnect_event("leaving=", code=1001)
    api.before = once(lambda: app.disconnect(leave, Context()))

    report = sweep()

    assert report["removed"] == {"tooOld": 0, "gone": 0}
    assert [(d["connectionId"], d["cause"]) for d in announced()] == [("leaving=", "going_away")]


def test_a_disconnect_that_comes_after_the_sweep_tells_nothing_again(
    connections: ConnectionStore,
    api: ConnectionsApi,
    announced: Callable[[], list[dict[str, Any]]],
) -> None:
    """The run that removed the row announces the end."""
    connections.put(tracked("late="))

    sweep()
    app.disconnect(disconnect_event("late="), Context())

    assert len(api.requests) == 1
    assert [(d["connectionId"], d["cause"]) for d in announced()] == [("late=", "orphaned")]


def test_a_close_that_comes_during_the_probe_is_announced_once(
    connections: ConnectionStore,
    api: ConnectionsApi,
    announced: Callable[[], list[dict[str, Any]]],
) -> None:
    """Both find the connection gone; one of them removes its row."""
    connections.put(tracked("dead="))
    api.before = once(lambda: app.close({"connectionId": "dead="}, Context()))

    sweep()

    assert sorted(api.requests) == [("GET", "dead="), ("POST", "dead=")]
    assert [detail["connectionId"] for detail in announced()] == ["dead="]


def test_an_orphan_is_announced_with_what_its_row_knew(
    connections: ConnectionStore,
    api: ConnectionsApi,
    announced: Callable[[], list[dict[str, Any]]],
) -> None:
    """Other systems learn who left, although no `$disconnect` came."""
    opened = tracked("dead=", age_s=300, client_id="alice", connected_at=1731324924561)
    connections.put(opened)

    sweep()

    [detail] = announced()
    closed_at = detail.pop("closedAt")
    assert 300 <= detail.pop("duration") < 360
    assert now_ms() - 60_000 < closed_at <= now_ms()
    assert detail == {
        "id": f"dead=/{detail['connectedAt']}",
        "reason": None,
        "connectionId": "dead=",
        "clientId": "alice",
        "cause": "orphaned",
        "code": None,
        "connectedAt": 1731324924561,
    }
    assert api.asked("GET") == ["dead="]


# Dry run


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows, connections, the position and the metrics stay as they were."""
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")
    connections.put(tracked("old=", OLD_S))
    connections.put(tracked("dead="))
    for number in range(3):
        connections.put(tracked(f"{number}=", client_id="alice"))
    api.alive = {"0=", "1=", "2="}
    before = rows(dynamodb)

    report = sweep(dryRun=True)

    lines = logged()
    assert rows(dynamodb) == before
    assert api.asked("DELETE") == []
    assert report["removed"] == {"tooOld": 1, "gone": 1}
    assert (report["dryRun"], report["live"], report["replaced"]) == (True, 3, 2)
    named = {line["orphanId"]: line["why"] for line in lines if "orphanId" in line}
    assert named == {"old=": "too old", "dead=": "gone"}
    assert not any("_aws" in line for line in lines)


@pytest.mark.parametrize("event", [{}, {"dryRun": False}, {"source": "aws.events", "detail": {}}])
@pytest.mark.usefixtures("api")
def test_a_real_run_is_asked_for_by_hand_or_by_the_schedule(
    dynamodb: DynamoDBClient, connections: ConnectionStore, event: dict[str, Any]
) -> None:
    connections.put(tracked("old=", OLD_S))

    sweep(**event)

    assert left(dynamodb) == []


@pytest.mark.parametrize(
    "event",
    [
        {"dryRun": "true"},
        {"dryRun": 1},
        {"dryRun": None},
        {"dryrun": True},
        {"dryRun": True, "x": 1},
    ],
)
@pytest.mark.usefixtures("api")
def test_a_misspelt_dry_run_is_never_a_real_one(
    dynamodb: DynamoDBClient, connections: ConnectionStore, event: dict[str, Any]
) -> None:
    connections.put(tracked("old=", OLD_S))

    answer = sweep(**event)

    assert answer["error"]["code"] == "invalid_request"
    assert '{"dryRun": true}' in answer["error"]["message"]
    assert left(dynamodb) == ["old="]


# The limit of connections of a client


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """Allow each client 3 connections."""
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "3")
    return 3


def put_connections(connections: ConnectionStore, client_id: str, *ages_s: float) -> list[str]:
    """Put rows of a client and give their ids, which tell their ages."""
    ids = [f"{client_id}-{age:g}=" for age in ages_s]
    for connection_id, age in zip(ids, ages_s, strict=True):
        connections.put(tracked(connection_id, age, client_id=client_id))
    return ids


def test_a_handshake_that_begins_late_in_a_long_run_keeps_its_row(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """API Gateway answers 410 for it, and it is not of the run's beginning."""
    connections.put(tracked("opening=", 1))
    monkeypatch.setattr(handler, "now_ms", lambda: now_ms() - 311_000)

    sweep()

    assert api.asked("GET") == ["opening="]
    assert left(dynamodb) == ["opening="]


@pytest.mark.usefixtures("limit")
def test_a_client_over_its_limit_loses_its_oldest_connections(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The newest win; the row tells `$disconnect` why."""
    theirs = put_connections(connections, "alice", 10, 20, 200, 300, 400)
    others = put_connections(connections, "bob", 10, 20, 200)
    nobodys = [f"{number}=" for number in range(5)]
    for connection_id in nobodys:
        connections.put(tracked(connection_id))
    api.alive = {*theirs, *others, *nobodys}

    report = sweep()

    assert sorted(api.asked("DELETE")) == theirs[3:]
    assert report["replaced"] == 2
    closing = {found.connection_id: found.closing for found in connections.live(now_ms())}
    assert {name for name, cause in closing.items() if cause == "replaced"} == set(theirs[3:])


@pytest.mark.usefixtures("limit")
def test_dead_connections_do_not_count_towards_the_limit(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Newer ones that have died, on a page not swept yet, do not cost an older one that lives."""
    monkeypatch.setattr(reader, "PAGE_ROWS", 1)
    theirs = put_connections(connections, "alice", 100, 110, 400, 500, 600)
    alive = [theirs[0], theirs[1], theirs[4]]
    api.alive = set(alive)

    report = sweep()

    assert api.asked("DELETE") == []
    assert report["replaced"] == 0
    assert left(dynamodb) == sorted(alive)


@pytest.mark.usefixtures("limit")
def test_a_client_is_looked_up_again_only_after_it_has_connected(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """One Query for each client in the first pass, none for those that were settled in it."""
    settled = put_connections(connections, "alice", 100, 200)
    api.alive = set(settled)
    sweep()
    assert wire.calls.count("Query") == 1
    api.alive |= set(put_connections(connections, "bob", 0))
    wire.calls.clear()

    sweep()

    assert wire.calls.count("Query") == 1


@pytest.mark.usefixtures("limit")
def test_a_connection_that_could_not_be_closed_is_closed_by_the_next_sweep(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A failure to close does not leave a client over its limit."""
    theirs = put_connections(connections, "alice", 100, 200, 300, 400)
    api.alive = set(theirs)
    api.statuses[theirs[3]] = 403
    assert sweep()["replaced"] == 0
    api.statuses.clear()

    assert sweep()["replaced"] == 1

    assert api.alive == set(theirs[:3])


@pytest.mark.usefixtures("limit")
def test_many_clients_over_their_limit_do_not_make_the_sweep_late(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are too many to be remembered, so that the next pass looks at all clients again."""
    monkeypatch.setattr(table_pass, "PENDING_CLIENTS", 2)
    for client in range(3):
        theirs = put_connections(connections, f"client{client}", 100, 200, 300, 400)
        api.alive |= set(theirs)
        api.statuses[theirs[3]] = 403

    first, second = sweep(), sweep()
    api.statuses.clear()
    third = sweep()

    assert [each["finished"] for each in (first, second, third)] == [True] * 3
    assert max(each["lagSeconds"] for each in (first, second, third)) < 300
    assert third["replaced"] == 3


@pytest.mark.usefixtures("limit")
def test_a_page_for_which_time_runs_out_does_not_leave_the_pass_unsettled(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
) -> None:
    """In a large table most runs end so; the next one looks at the rest of that page."""
    for client in range(120):
        api.alive |= set(put_connections(connections, f"client{client}", 200))
    run = run_of(connections, 60)
    dynamodb.meta.events.register("before-call.dynamodb.Query", end_of_time(monkeypatch, 60))

    report_on(run)

    saved = SweepProgress(dynamodb, TABLE, NO_DEADLINE).position()
    assert saved is not None
    assert len(saved.clients) > 100
    assert saved.is_settled
    assert not [line for line in logged() if line["message"] == "limit not enforced in this pass"]


def test_a_limit_that_is_set_later_holds_for_connections_from_before(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = put_connections(connections, "alice", 500, 600)
    api.alive = set(theirs)
    assert [sweep()["finished"], sweep()["finished"]] == [True, True]
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")

    report = sweep()

    assert report["replaced"] == 1
    assert api.alive == {theirs[0]}


@pytest.mark.usefixtures("limit")
def test_a_close_for_the_limit_that_failed_is_judged_anew(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A newer connection has ended meanwhile, so that the older one may stay."""
    theirs = put_connections(connections, "alice", 100, 200, 300, 400)
    oldest = connections.get(theirs[3])
    assert oldest is not None
    connections.mark_closing(oldest, Intent("replaced", oldest.created_at + 2_000))
    api.alive = {*theirs[1:]}

    report = sweep()

    assert report["replaced"] == 0
    assert api.alive == {*theirs[1:]}


@pytest.mark.parametrize("first", ["alice", "bob"])
@pytest.mark.usefixtures("limit")
def test_the_limit_is_enforced_by_the_next_run_when_the_time_is_up(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    """A client that was not looked at in time is looked at first by the next run."""
    put_connections(connections, first, 10)
    theirs = put_connections(connections, "bob", 10, 20, 30, 400)
    put_connections(connections, "carol", 10)
    api.alive = set(theirs)
    run = run_of(connections, 60)
    dynamodb.meta.events.register("before-call.dynamodb.Query", end_of_time(monkeypatch, 60))
    report_on(run)
    assert api.asked("DELETE") == []
    monkeypatch.setattr(clock, "time", time)

    report = sweep()

    assert (report["finished"], report["replaced"]) == (True, 1)
    assert api.asked("DELETE") == theirs[3:]


@pytest.mark.usefixtures("limit")
def test_an_index_that_fails_does_not_stop_the_sweep(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    logged: Logged,
) -> None:
    """The failure is logged, and dead rows still go."""
    theirs = put_connections(connections, "alice", 100)
    connections.put(tracked("old=", OLD_S))
    api.alive = set(theirs)
    wire.errors["Query"] = (400, "AccessDeniedException")

    report = sweep()

    assert report["finished"]
    assert left(dynamodb) == theirs
    assert "limit not enforced" in [line["message"] for line in logged()]


def test_without_a_limit_the_index_is_not_read(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """The calls of a sweep with nothing to do: its position, the table, its position."""
    api.alive = set(put_connections(connections, "alice", *range(100, 110)))

    sweep()

    assert wire.calls == ["UpdateItem", "Scan", "PutItem"]


# What it tells


def test_the_report_and_the_metrics_agree(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """Counts, shares and the lag are in the answer, and in a line that CloudWatch counts."""
    for number in range(6):
        connections.put(tracked(f"{number}="))
    connections.put(tracked("old=", OLD_S))
    connections.put(tracked("young=", 1))
    api.alive = {"0=", "1=", "2=", "3=", "4="}
    api.statuses["4="] = 429

    report = sweep()

    line = logged()[-1]
    lag = report.pop("lagSeconds")
    assert 0 <= lag < 60
    assert report == {
        "finished": True,
        "dryRun": False,
        "live": 6,
        "probed": 6,
        "removed": {"tooOld": 1, "gone": 1},
        "skipped": 1,
        "replaced": 0,
        "expired": 0,
        "silent": 0,
        "missedDisconnectShare": 0.25,
    }
    assert line["message"] == "swept"
    assert {name: line[name] for name in report} == report
    measured = {
        "LiveConnections": 6,
        "OrphansRemoved": 2,
        "MissedDisconnectShare": 25.0,
        "SweepLag": lag,
    }
    assert {name: line[name] for name in measured} == measured
    [directive] = line["_aws"]["CloudWatchMetrics"]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {
        "LiveConnections": "Count",
        "OrphansRemoved": "Count",
        "MissedDisconnectShare": "Percent",
        "SweepLag": "Seconds",
    }
    assert directive["Dimensions"] == [["service", "stage"]]


@pytest.mark.usefixtures("api")
def test_each_removal_is_logged_and_counted_by_cause(
    connections: ConnectionStore, logged: Logged
) -> None:
    """An orphan is counted as closed, like every other end."""
    connections.put(tracked("old=", OLD_S, client_id="alice"))

    sweep()

    [line] = [line for line in logged() if line["message"] == "orphan removed"]
    assert (line["orphanId"], line["clientId"], line["code"]) == ("old=", "alice", None)
    assert (line["cause"], line["Closed"]) == ("orphaned", 1)


@pytest.mark.usefixtures("api", "connections")
def test_an_unfinished_run_does_not_count_the_live_connections(
    connections: ConnectionStore, logged: Logged
) -> None:
    """A part of the table would pass for all of it."""
    connections.put(tracked("dead="))

    sweep(seconds=RESERVE_S + 2.5)

    line = logged()[-1]
    assert not line["finished"]
    assert "LiveConnections" not in line
    assert "SweepLag" in line


@pytest.mark.usefixtures("api", "dynamodb")
def test_a_failure_is_logged_and_raised(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function's own error metric shows it."""
    monkeypatch.setenv("CONNECTIONS_TABLE", "Nowhere")

    with pytest.raises(StoreError, match="Nowhere"):
        sweep()

    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "sweep failed")
    assert line["errorType"] == "StoreError"
