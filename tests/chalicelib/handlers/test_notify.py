"""The function `notify`: from an SNS event to the clients, over as many invocations as it takes."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import unquote

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from bench.fanout.signatures import Received
from chalicelib import clock
from chalicelib.adapters import table
from chalicelib.adapters.attempts import NOT_STARTED
from chalicelib.adapters.sqs import Queue
from chalicelib.domain.errors import (
    ContinuationError,
    HistoryError,
    QueueError,
    SettingsError,
    StoreError,
)
from chalicelib.domain.history import ALL, PAGE_BYTES, own_stream
from chalicelib.domain.notification import MAX_ENVELOPE_BYTES, MAX_RECORDED_BYTES, from_sns
from chalicelib.domain.unclaimed import Waiting
from chalicelib.handlers.notify import CURSOR, RESERVE_S
from chalicelib.history import History
from chalicelib.services import delivery
from chalicelib.store import ConnectionStore
from tests.conftest import HISTORY, TABLE, Wire
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.connections_api import Answer, ConnectionsApi, connection_of
from tests.support.lambda_context import Context
from tests.support.notifications import MESSAGE_ID, SENT_AT, sns_event
from tests.support.sqs import QUEUE, create_queue, delayed, taken

Logged = Callable[[], list[dict[str, Any]]]

SECONDS = 60.0  # what an invocation may take
REQUEST_S = 3.0  # what one post may take
NAME = "incident-websocket-dev-notify"


@dataclass
class LambdaService:
    """What was asked of Lambda: paths, kinds of invocation, events and their sizes in bytes.

    `status` is what it answers.
    """

    status: int = 202
    invoked: list[tuple[str, str | None]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaService]:
    """Run a Lambda service that accepts invocations, and have the functions use it."""
    service = LambdaService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.invoked.append((self.path, self.headers["X-Amz-Invocation-Type"]))
            service.events.append(json.loads(body))
            service.sizes.append(len(body))
            self.send_response(service.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", address)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()


@pytest.fixture
def connections(
    dynamodb: DynamoDBClient, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> ConnectionStore:
    """Return a store of an empty table, and have the function use it and `@connections`.

    So few posts are in flight that a small table takes several invocations.
    """
    monkeypatch.setattr(delivery, "CONCURRENCY", 2)
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", api.url)
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)


def notify(event: dict[str, Any], seconds: float = SECONDS) -> Any:
    """Invoke the function, with so many seconds until Lambda would end it."""
    return app.notify(event, Context(seconds, function_name=NAME))


def put(connections: ConnectionStore, *names: str, **attributes: Any) -> list[str]:
    """Put rows of connections that are past the grace, and give their ids."""
    for name in names:
        connections.put(tracked(name, **attributes))
    return list(names)


def posts(api: ConnectionsApi) -> Counter[str]:
    """Count the posts to each connection."""
    return Counter(unquote(request.target.rpartition("/")[2]) for request in api.received)


def small_pages(client: DynamoDBClient, rows: int) -> None:
    """Make DynamoDB end each page of a scan after a few rows."""

    def limit(params: dict[str, Any], **_: object) -> Any:
        return {**params, "Limit": rows}

    client.meta.events.register("provide-client-params.dynamodb.Scan", limit)


# What is delivered


def test_a_notification_reaches_every_connection(
    connections: ConnectionStore, api: ConnectionsApi, functions: LambdaService
) -> None:
    """With the envelope that is documented; nothing is left to hand on."""
    names = put(connections, "a=", "b=", "c=")

    report = notify(sns_event('{"severity": 1}', "Database down"))

    assert posts(api) == Counter(names)
    [body] = {request.body for request in api.received}
    assert json.loads(body) == {
        "type": "notification",
        "id": MESSAGE_ID,
        "sentAt": SENT_AT,
        "subject": "Database down",
        "message": {"severity": 1},
    }
    assert (report["id"], report["delivered"], report["handedOn"]) == (MESSAGE_ID, 3, False)
    assert functions.events == []


@pytest.mark.parametrize(
    ("attribute", "reached"),
    [
        (("String", "ada"), ["a1=", "a2="]),
        (("String.Array", '["bob", "ada"]'), ["a1=", "a2=", "b="]),
        (("String", "nobody"), []),
    ],
)
def test_a_notification_for_clients_reaches_their_connections_only(
    connections: ConnectionStore,
    api: ConnectionsApi,
    attribute: tuple[str, str],
    reached: list[str],
) -> None:
    """Each of them; a client that is not connected is no failure."""
    put(connections, "a1=", "a2=", client_id="ada")
    put(connections, "b=", client_id="bob")
    put(connections, "c=")

    report = notify(sns_event(clientId=attribute))

    assert posts(api) == Counter(reached)
    assert report["delivered"] == len(reached)


def test_a_delivery_costs_one_scan_a_page_and_one_post_a_connection(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """And one DeleteItem for each that is gone."""
    put(connections, "dead=", *(f"{n}=" for n in range(20)))
    api.behave = lambda request: Answer(410 if "dead" in request.target else 200)

    notify(sns_event())

    assert wire.calls == ["Scan", "DeleteItem"]
    assert len(api.received) == 21


@pytest.mark.parametrize("more", [0, 1])
def test_an_envelope_over_128_kb_is_refused_before_anything_is_sent(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire, logged: Logged, more: int
) -> None:
    """The largest is delivered whole; one byte more is logged, counted and not tried again."""
    put(connections, "a=", "b=")
    room = MAX_ENVELOPE_BYTES - len(from_sns(sns_event("")).envelope())

    report = notify(sns_event("x" * (room + more)))

    if not more:
        assert [len(request.body) for request in api.received] == [MAX_ENVELOPE_BYTES] * 2
        assert report["delivered"] == 2
        return
    assert report is None
    assert api.received == []
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["message"], line["Rejected"]) == ("ERROR", "refused", 1)
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [
        {"Name": "Rejected", "Unit": "Count"}
    ]
    assert line["error"] == (
        f"notification {MESSAGE_ID!r}: its envelope has 131073 bytes; expected at most 131072"
    )


def test_an_odd_client_is_refused_before_anything_is_sent(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire, logged: Logged
) -> None:
    """It is never taken for everybody."""
    put(connections, "a=")

    assert notify(sns_event(clientId=("Number", "7"))) is None

    assert (api.received, wire.calls) == ([], [])
    [line] = logged()
    assert (line["level"], line["Rejected"], line["function"]) == ("ERROR", 1, NAME)


def test_a_malformed_record_is_refused(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """Lambda need not try it again."""
    put(connections, "a=")
    event = sns_event()
    del event["Records"][0]["Sns"]["Timestamp"]

    assert notify(event) is None

    assert api.received == []
    [line] = logged()
    assert line["Rejected"] == 1
    assert "Timestamp" in line["error"]


def test_a_repeat_by_sns_has_the_same_id(connections: ConnectionStore, api: ConnectionsApi) -> None:
    """SNS may deliver twice; by the id a client drops the second."""
    put(connections, "a=")

    for _ in range(2):
        notify(sns_event("hello"))

    first, second = (json.loads(request.body) for request in api.received)
    assert first == second
    assert first["id"] == MESSAGE_ID


# What it tells


def test_the_report_and_the_metrics_agree(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """Counts and times are in the answer, and in a line that CloudWatch counts."""
    put(connections, "dead=", "denied=", *(f"{n}=" for n in range(4)))
    put(connections, "before=", api_id=None)
    put(connections, "expired=", expires_at=1)

    def behave(request: Received) -> Answer:
        statuses = {"dead%3D": 410, "denied%3D": 403}
        return Answer(statuses.get(request.target.rpartition("/")[2], 200))

    api.behave = behave

    report = notify(sns_event())

    line = logged()[-1]
    assert line["message"] == "notified"
    assert {name: line[name] for name in report} == report
    times = [report.pop(name) for name in ("seconds", "postP50Seconds", "postP99Seconds")]
    assert all(0 <= seconds < SECONDS for seconds in times)
    assert report == {
        "id": MESSAGE_ID,
        "delivered": 4,
        "gone": 1,
        "failed": 1,
        "skipped": 1,
        "expired": 1,
        "handedOn": False,
    }
    [directive] = line["_aws"]["CloudWatchMetrics"]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {
        "Delivered": "Count",
        "Gone": "Count",
        "Failed": "Count",
        "Skipped": "Count",
        "Expired": "Count",
        "DeliveryTime": "Seconds",
        "PostP50": "Seconds",
        "PostP99": "Seconds",
    }
    assert {name: line[name] for name in units} == {
        "Delivered": 4,
        "Gone": 1,
        "Failed": 1,
        "Skipped": 1,
        "Expired": 1,
        "DeliveryTime": times[0],
        "PostP50": times[1],
        "PostP99": times[2],
    }
    assert directive["Dimensions"] == [["service", "stage"]]


@pytest.mark.usefixtures("connections")
def test_without_a_post_there_is_no_time_of_a_post(logged: Logged) -> None:
    """A zero would pull the percentiles down."""
    report = notify(sns_event())

    line = logged()[-1]
    assert report["postP50Seconds"] is report["postP99Seconds"] is None
    assert line["Delivered"] == 0
    assert "PostP50" not in line
    assert "PostP99" not in line


# Handing on


class TimeIsUp(Protocol):
    """What ends the time of an invocation."""

    def __call__(self, after: int, answer: Answer = ...) -> None:
        """Have `@connections` answer, and the next invocation's time end after so many posts."""


@pytest.fixture
def time_is_up(api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch) -> TimeIsUp:
    """Return a function that ends the time as a delivery sees it, however slow the machine is."""
    present = SimpleNamespace(monotonic=time.monotonic, time_ns=time.time_ns)
    monkeypatch.setattr(clock, "time", present)

    def end(after: int, answer: Answer = Answer()) -> None:  # noqa: B008 - it is frozen
        posted = itertools.count(1)
        present.monotonic = time.monotonic

        def behave(_: Received) -> Answer:
            if next(posted) >= after:
                the_end = time.monotonic() + SECONDS - RESERVE_S
                present.monotonic = lambda: the_end
            return answer

        api.behave = behave

    return end


@pytest.mark.parametrize("attributes", [{}, {"clientId": ("String.Array", '["c0", "c1", "c2"]')}])
def test_a_delivery_longer_than_an_invocation_serves_everyone_once(
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    time_is_up: TimeIsUp,
    attributes: dict[str, tuple[str, str]],
) -> None:
    """Each invocation hands the rest on to a fresh one of the same function."""
    names = [f"{n:03}=" for n in range(60)]
    for n, name in enumerate(names):
        put(connections, name, client_id=f"c{n % 3}")
    event = sns_event("hellö", "Database down", **attributes)
    time_is_up(after=20)
    reports = [notify(event)]

    while reports[-1]["handedOn"]:
        assert len(functions.events) == len(reports) < 30
        time_is_up(after=20)
        reports.append(notify(functions.events[-1]))

    assert posts(api) == Counter(names)
    assert len({request.body for request in api.received}) == 1
    assert sum(report["delivered"] for report in reports) == 60
    assert len(reports) > 1
    assert {handed_on["Records"][0]["Sns"]["Message"] for handed_on in functions.events} == {
        "hellö"
    }
    path = f"/2015-03-31/functions/{NAME}/invocations"
    assert set(functions.invoked) == {(path, "Event")}
    assert {json.dumps(event["Records"]) for event in functions.events} == {
        json.dumps(event["Records"])
    }


@pytest.mark.parametrize("denied", [["a=", "b="], ["a="]])
def test_a_run_whose_posts_are_all_denied_says_why(
    connections: ConnectionStore, api: ConnectionsApi, logged: Logged, denied: list[str]
) -> None:
    """With one other answer it says nothing: the requests are allowed."""
    put(connections, "a=", "b=")
    api.behave = lambda request: Answer(403 if connection_of(request) in denied else 200)

    assert notify(sns_event())["failed"] == len(denied)

    explained = [each["error"] for each in logged() if each["level"] == "ERROR"]
    assert len(explained) == (len(denied) == 2)
    assert all(f"APIGATEWAYMANAGEMENTAPI is {api.url!r}" in each for each in explained)


@pytest.mark.parametrize("status", [403, 413, 500])
def test_a_rest_that_cannot_be_handed_on_is_a_failure(
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    logged: Logged,
    time_is_up: TimeIsUp,
    status: int,
) -> None:
    """Lambda tries again, then hands the event to the failure destination."""
    put(connections, *(f"{n}=" for n in range(10)))
    time_is_up(after=2)
    functions.status = status

    with pytest.raises(ContinuationError, match=f"delivery of notification '{MESSAGE_ID}' stopped"):
        notify(sns_event())

    assert functions.events
    assert 0 < sum(posts(api).values()) < 10
    line = logged()[-1]
    assert (line["level"], line["message"]) == ("ERROR", "notify failed")
    assert line["errorType"] == "ContinuationError"


def test_rows_are_removed_after_the_rest_is_handed_on(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    functions: LambdaService,
    time_is_up: TimeIsUp,
) -> None:
    """The clients that wait come first; the gone rows go all the same."""
    put(connections, *(f"{n}=" for n in range(10)))
    time_is_up(after=2, answer=Answer(410))
    handed_on_before: list[int] = []
    table.dynamodb().meta.events.register(
        "before-call.dynamodb.DeleteItem",
        lambda **_: handed_on_before.append(len(functions.events)),
    )

    report = notify(sns_event())

    assert report["handedOn"]
    assert report["gone"] == len(handed_on_before) > 0
    assert set(handed_on_before) == {1}
    assert len(dynamodb.scan(TableName=TABLE)["Items"]) == 10 - report["gone"]


def test_an_invocation_that_serves_nobody_does_not_hand_on(
    connections: ConnectionStore, api: ConnectionsApi, functions: LambdaService
) -> None:
    """It would go on for ever."""
    put(connections, "a=")

    with pytest.raises(ContinuationError, match="no progress: nobody was served"):
        notify(sns_event(), RESERVE_S + REQUEST_S - 1)

    assert api.received == []
    assert functions.events == []


def test_a_table_that_cannot_be_read_any_more_hands_the_rest_on(
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    wire: Wire,
    logged: Logged,
) -> None:
    """Trying the whole event again would serve some twice."""
    names = put(connections, *(f"{n:02}=" for n in range(40)))
    small_pages(table.dynamodb(), 32)
    api.behave = lambda _: wire.errors.update(Scan=(400, "AccessDeniedException")) or Answer()

    report = notify(sns_event())

    assert (report["handedOn"], report["delivered"]) == (True, 32)
    [line] = [line for line in logged() if line["message"] == "could not read table"]
    assert "AccessDeniedException" in line["error"]
    wire.errors.clear()
    api.behave = lambda _: Answer()

    assert notify(functions.events[0])["delivered"] == 8

    assert posts(api) == Counter(names)


def test_a_table_that_cannot_be_read_at_all_is_a_failure(
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    wire: Wire,
    logged: Logged,
) -> None:
    """Nobody was served, so Lambda can try the event again."""
    put(connections, "a=")
    wire.errors["Scan"] = (400, "AccessDeniedException")

    with pytest.raises(StoreError, match="AccessDeniedException"):
        notify(sns_event())

    assert (api.received, functions.events) == ([], [])
    assert logged()[-1]["errorType"] == "StoreError"


def test_the_event_that_is_handed_on_is_short(
    connections: ConnectionStore, functions: LambdaService, time_is_up: TimeIsUp
) -> None:
    """An asynchronous event may be 1 MB: the largest message fits, in any language."""
    put(connections, *(f"{n}=" for n in range(10)))
    time_is_up(after=2)
    room = MAX_ENVELOPE_BYTES - len(from_sns(sns_event("")).envelope())

    notify(sns_event("ä" * (room // 2)))

    [size] = functions.sizes
    assert size < MAX_ENVELOPE_BYTES + 2000
    assert functions.events[0][CURSOR]["after"]


@pytest.mark.usefixtures("connections")
def test_a_wrong_setting_is_a_failure(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """It is logged by name, and Lambda tries again: somebody may mend it."""
    monkeypatch.setenv("TTL_HOURS", "many")

    with pytest.raises(SettingsError, match="TTL_HOURS is 'many'"):
        notify(sns_event())

    assert logged()[-1]["message"] == "notify failed"


# The history


@pytest.fixture
def log(connections: ConnectionStore, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return an empty history that the function uses."""
    monkeypatch.setenv("HISTORY_TABLE", HISTORY)
    monkeypatch.setenv("RECOVER_OWN", "always")
    return History(connections.client, HISTORY, NO_DEADLINE)


def received(api: ConnectionsApi) -> list[dict[str, Any]]:
    """Return the envelopes that were posted."""
    return [json.loads(request.body) for request in api.received]


ADA_AND_BOB = ("String.Array", '["ada", "bob"]')


def test_a_broadcast_is_recorded_before_it_is_posted(
    log: History, connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """A client that is not reached finds it by its number; old fields stay as they are."""
    put(connections, "a=", "b=")
    heads: list[Any] = []

    def behave(_: Received) -> Answer:
        heads.append(log.head(ALL))
        return Answer()

    api.behave = behave
    notify(sns_event("hello"))

    head = log.head(ALL)
    assert head is not None
    assert heads == [head, head]
    assert (
        received(api)
        == [
            {
                "type": "notification",
                "id": MESSAGE_ID,
                "sentAt": SENT_AT,
                "subject": None,
                "message": "hello",
                "stream": "all",
                "seq": head.seq,
                "prev": 0,
                "recordedAt": head.at,
            }
        ]
        * 2
    )
    [line] = [line for line in logged() if line["message"] == "notified"]
    assert line["Recorded"] == 1


def test_a_client_of_the_version_before_reads_the_envelope(
    log: History, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """It takes the fields that it knows, and drops repeats by the id."""
    del log
    put(connections, "a=")

    notify(sns_event('{"incident": 1}', "Down"))

    [envelope] = received(api)
    known = {name: envelope[name] for name in ("type", "id", "sentAt", "subject", "message")}
    assert known == json.loads(from_sns(sns_event('{"incident": 1}', "Down")).envelope())


def test_named_clients_get_numbers_of_their_own_streams(
    log: History, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Also those that are not connected: they recover it later."""
    put(connections, "a1=", "a2=", client_id="ada")

    notify(sns_event(clientId=ADA_AND_BOB))

    heads = [log.head(f"c#{name}") for name in ("ada", "bob")]
    assert all(heads)
    assert {(each["stream"], each["seq"]) for each in received(api)} == {("own", heads[0].seq)}  # type: ignore[union-attr] # checked above
    assert log.head(ALL) is None


def test_without_own_streams_named_notifications_are_not_recorded(
    log: History,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody could claim the `clientId` and read them."""
    monkeypatch.setenv("RECOVER_OWN", "authenticated")
    put(connections, "a=", client_id="ada")

    notify(sns_event(clientId=ADA_AND_BOB))

    [envelope] = received(api)
    assert "seq" not in envelope
    assert log.head("c#ada") is None


def test_a_broadcast_costs_one_read_and_one_transaction_more(
    log: History, connections: ConnectionStore, wire: Wire
) -> None:
    """Whatever the number of connections: 1 read unit and 4 write units up to 1 KB."""
    del log
    put(connections, *(f"{n}=" for n in range(20)))

    notify(sns_event())

    assert wire.calls == ["GetItem", "TransactWriteItems", "Scan"]


def test_a_repeat_of_the_event_has_the_same_number(
    log: History, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """SNS and Lambda deliver more than once."""
    put(connections, "a=", client_id="ada")

    for event in (sns_event(), sns_event(clientId=ADA_AND_BOB)) * 2:
        notify(event)

    first, own, *repeats = received(api)
    assert [each["seq"] for each in repeats] == [first["seq"], own["seq"]]
    assert log.head(ALL).seq == first["seq"]  # type: ignore[union-attr] # it is there


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("event", [sns_event(), sns_event(clientId=ADA_AND_BOB)])
def test_what_cannot_be_recorded_is_posted_and_repeated(
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    logged: Logged,
    event: dict[str, Any],
) -> None:
    """Clients show it at once; Lambda tries again, and then it is recorded."""
    put(connections, "a=", client_id="ada")
    wire.errors["TransactWriteItems"] = (400, "AccessDeniedException")

    with pytest.raises(HistoryError):
        notify(event)
    lines = logged()
    wire.errors.clear()
    notify(event)

    unrecorded, recorded = received(api)
    assert "seq" not in unrecorded
    assert recorded["id"] == unrecorded["id"]
    assert recorded["seq"] > 0
    assert [line["HistoryFailures"] for line in lines if "HistoryFailures" in line] == [1]
    assert [line["message"] for line in lines][-1] == "notify failed"


def test_the_rest_of_a_broadcast_carries_its_number(
    log: History,
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    time_is_up: TimeIsUp,
) -> None:
    """It is recorded once, whatever the number of invocations."""
    names = put(connections, *(f"{n}=" for n in range(6)))
    time_is_up(after=2)

    notify(sns_event())
    [rest] = functions.events
    time_is_up(after=99)
    report = notify(rest)

    assert report["handedOn"] is False
    assert set(posts(api)) == set(names)
    head = log.head(ALL)
    assert head is not None
    assert {each["seq"] for each in received(api)} == {head.seq}
    assert rest[CURSOR]["position"] == [head.seq, 0, head.at]


def test_an_unrecorded_broadcast_is_repeated_from_its_start_only(
    log: History,
    connections: ConnectionStore,
    api: ConnectionsApi,
    functions: LambdaService,
    time_is_up: TimeIsUp,
    wire: Wire,
) -> None:
    """The continuation neither records nor fails: otherwise each of them would be repeated."""
    put(connections, *(f"{n}=" for n in range(6)))
    time_is_up(after=2)
    wire.errors["TransactWriteItems"] = (400, "AccessDeniedException")

    with pytest.raises(HistoryError):
        notify(sns_event())
    [rest] = functions.events
    time_is_up(after=99)
    report = notify(rest)

    assert report["handedOn"] is False
    assert log.head(ALL) is None
    assert all("seq" not in each for each in received(api))


@pytest.mark.parametrize("more", [0, 1])
def test_with_a_history_an_envelope_leaves_room_for_its_number(
    log: History, connections: ConnectionStore, api: ConnectionsApi, logged: Logged, more: int
) -> None:
    """The largest fits an answer to a client that recovers it."""
    del log
    put(connections, "a=")
    room = MAX_RECORDED_BYTES - len(from_sns(sns_event("")).envelope())

    notify(sns_event("x" * (room + more)))

    if more:
        assert api.received == []
        [line] = logged()
        assert f"expected at most {MAX_RECORDED_BYTES}" in line["error"]
        return
    [request] = api.received
    assert MAX_RECORDED_BYTES < len(request.body) <= PAGE_BYTES


@pytest.mark.parametrize("position", [5, [1], [1, 2, "x"]])
def test_an_event_with_an_invalid_place_is_refused(
    log: History, connections: ConnectionStore, logged: Logged, position: object
) -> None:
    """It is logged and counted, and not tried again."""
    del log, connections
    cursor = {"apis": [], "tour": 0, "client": 0, "after": None, "position": position}

    assert notify({**sns_event(), CURSOR: cursor}) is None

    [line] = logged()
    assert (line["message"], line["Rejected"]) == ("refused", 1)


# Nobody home


@pytest.fixture
def queue(connections: ConnectionStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty queue that the function uses."""
    del connections
    monkeypatch.setenv("UNCLAIMED_QUEUE", QUEUE)
    return create_queue()


def test_who_is_not_reached_waits_in_the_queue(
    log: History, connections: ConnectionStore, queue: str, logged: Logged
) -> None:
    """For `UNCLAIMED_SECONDS`. Who was reached, on any connection, does not."""
    del log
    put(connections, "a=", "b=", client_id="ada")

    notify(sns_event(clientId=ADA_AND_BOB))

    assert taken(queue) == []
    assert delayed(queue) == 1
    assert logged()[-1]["queued"] == 1


@pytest.mark.parametrize(
    ("statuses", "is_queued"),
    [
        ({"a=": 410, "b=": 200}, False),
        ({"a=": 410, "b=": 410}, True),
        ({"a=": 400, "b=": 403}, True),
    ],
)
def test_one_connection_that_takes_the_post_is_enough(
    connections: ConnectionStore,
    api: ConnectionsApi,
    queue: str,
    statuses: dict[str, int],
    *,
    is_queued: bool,
) -> None:
    """Without a history the queue shows the message at once."""
    put(connections, "a=", "b=", client_id="ada")
    api.behave = lambda request: Answer(statuses[unquote(request.target.rpartition("/")[2])])

    notify(sns_event("hello", "Database down", clientId=("String", "ada")))

    clients = (Waiting("ada", None, is_posted=False),) if is_queued else ()
    assert [each.clients for each in taken(queue)] == [clients][: len(clients)]


def test_a_receipt_is_asked_of_clients_that_can_give_one(
    log: History,
    connections: ConnectionStore,
    api: ConnectionsApi,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without own streams no notification has a number; all of its clients are announced."""
    put(connections, "a=", client_id="ada")
    event = sns_event(clientId=("String", "ada"), receipt=("String", "required"))

    notify(event)
    monkeypatch.setenv("RECOVER_OWN", "authenticated")
    notify(event)

    asked, unasked = received(api)
    assert asked["receipt"] is True
    assert json.loads(log.read(own_stream("ada"), 0, 2**52, 1, 0).entries[0].envelope)["receipt"]
    assert "receipt" not in unasked
    assert delayed(queue) == 1
    [at_once] = taken(queue)
    assert (at_once.receipt, at_once.clients) == (True, (Waiting("ada", None, is_posted=True),))


def test_without_a_queue_nobody_is_asked_for_a_receipt(
    log: History, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    del log
    put(connections, "a=", client_id="ada")

    notify(sns_event(clientId=("String", "ada"), receipt=("String", "required")))

    assert "receipt" not in received(api)[0]


@pytest.mark.usefixtures("log", "connections")
def test_a_broadcast_waits_for_nobody(queue: str) -> None:
    notify(sns_event())

    assert (taken(queue), delayed(queue)) == ([], 0)


@pytest.mark.usefixtures("log", "connections")
def test_a_message_that_is_not_sent_fails_the_invocation(
    monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    """Lambda repeats it; the posts and the report were made all the same."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Missing")

    with pytest.raises(QueueError):
        notify(sns_event(clientId=ADA_AND_BOB))

    assert [line["message"] for line in logged()] == ["notified", "notify failed"]


@pytest.mark.usefixtures("log", "connections")
def test_what_cannot_be_recorded_does_not_wait(queue: str, wire: Wire) -> None:
    """The repeat records it, or dead-letters it: no client is announced that could recover it."""
    wire.errors["TransactWriteItems"] = (400, "AccessDeniedException")

    with pytest.raises(HistoryError):
        notify(sns_event(clientId=ADA_AND_BOB))
    wire.errors.clear()
    assert delayed(queue) == 0
    notify(sns_event(clientId=ADA_AND_BOB))

    assert delayed(queue) == 1


def test_a_client_reached_before_the_delivery_continued_does_not_wait(
    connections: ConnectionStore,
    functions: LambdaService,
    queue: str,
    time_is_up: TimeIsUp,
) -> None:
    """In the middle of its connections, too: the next invocation is told who was reached."""
    put(connections, *(f"a{n}=" for n in range(6)), client_id="ada")
    put(connections, "b=", client_id="bob")
    event = sns_event(clientId=("String.Array", '["nobody", "ada", "bob"]'))
    time_is_up(after=2)

    assert notify(event)["handedOn"]
    [rest] = functions.events
    assert (rest[CURSOR]["client"], rest[CURSOR]["reached"]) == (1, [1])
    assert taken(queue) == []
    time_is_up(after=99)
    assert not notify(rest)["handedOn"]

    [message] = taken(queue)
    assert [each.client_id for each in message.clients] == ["nobody"]


def test_the_queue_is_filled_by_the_next_invocation_if_the_time_is_out(
    connections: ConnectionStore,
    functions: LambdaService,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which delivers nothing again, and goes on behind the clients that were queued."""
    names = [f"client-{n}" for n in range(150)]
    put(connections, "a=", client_id=names[0])
    late = QueueError("SendMessage", QUEUE, NOT_STARTED, "no time left")
    send, takes = Queue.send, [1]

    def limited(self: Queue, text: str, delay_s: int) -> None:
        if not takes:
            raise late
        takes.pop()
        send(self, text, delay_s)

    monkeypatch.setattr(Queue, "send", limited)

    assert notify(sns_event(clientId=("String.Array", json.dumps(names))))["handedOn"]
    takes.append(1)
    report = notify(functions.events[0])

    assert (report["handedOn"], report["delivered"]) == (False, 0)
    assert [each.client_id for queued in taken(queue) for each in queued.clients] == names[1:]


@pytest.mark.usefixtures("connections", "functions", "queue")
def test_an_invocation_that_queues_nobody_fails_instead_of_continuing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = QueueError("SendMessage", QUEUE, NOT_STARTED, "no time left")

    def refuse(*_: object) -> None:
        raise late

    monkeypatch.setattr(Queue, "send", refuse)
    done = {"apis": [], "tour": 0, "client": 1, "after": None, "reached": [], "queued": 0}

    with pytest.raises(ContinuationError, match="no progress"):
        notify({**sns_event(clientId=("String", "ada")), CURSOR: done})


@pytest.mark.parametrize("fields", [{"reached": 5}, {"reached": ["x"]}, {"queued": "x"}])
def test_an_event_with_invalid_clients_is_refused(
    connections: ConnectionStore, logged: Logged, fields: dict[str, object]
) -> None:
    del connections
    cursor = {"apis": [], "tour": 0, "client": 0, "after": None, **fields}

    assert notify({**sns_event(), CURSOR: cursor}) is None

    [line] = logged()
    assert (line["message"], line["Rejected"]) == ("refused", 1)


def test_two_runs_of_a_notification_queue_the_same_numbers(
    log: History, connections: ConnectionStore, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SNS delivers at least once, so a client may be announced twice, with the same id."""
    del log, connections
    sent: list[str] = []
    monkeypatch.setattr(Queue, "send", lambda _self, text, _delay_s: sent.append(text))
    assert queue

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(notify, [sns_event(clientId=ADA_AND_BOB)] * 2))

    assert len(sent) == 2
    assert len(set(sent)) == 1
