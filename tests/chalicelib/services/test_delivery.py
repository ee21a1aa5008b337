"""Deliveries, from an in-process DynamoDB to a real HTTP server for `@connections`."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from bench.fanout.signatures import Received, is_valid
from chalicelib import settings
from chalicelib.adapters import aws_clients as sdk
from chalicelib.adapters.connections_api import retries as management
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.clock import Deadline
from chalicelib.domain.connection import Connection
from chalicelib.domain.errors import StoreError
from chalicelib.domain.sweep_position import Position
from chalicelib.services import delivery
from chalicelib.services.delivery import Cursor, Delivery, DeliveryOutcome, outcome_of
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE, Wire
from tests.support.connections import NO_DEADLINE, now_ms, tracked
from tests.support.connections_api import Answer, ConnectionsApi
from tests.support.event_bus import BUS, listen
from tests.support.losing import Losing

Logged = Callable[[], list[dict[str, Any]]]

ENVELOPE = b'{"type":"notification"}'
REQUEST_S = 3.0  # what one post may take


@pytest.fixture
def connections(
    dynamodb: DynamoDBClient, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> ConnectionStore:
    """Return a store of an empty table, and have deliveries use it and `@connections`."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", api.url)
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)


def delivery_of(connections: ConnectionStore, seconds: float = 60.0, **fields: Any) -> Delivery:
    """Prepare a delivery that may post for so many seconds."""
    return Delivery(
        envelope=ENVELOPE,
        client_ids=fields.pop("client_ids", None),
        store=connections,
        config=settings.load(),
        log=Log({}),
        deadline=Deadline(time.monotonic() + seconds),
        **fields,
    )


def deliver(connections: ConnectionStore, *client_ids: str) -> Delivery:
    """Deliver to the end, and give the delivery that is done."""
    run = delivery_of(connections, client_ids=client_ids or None)
    assert run.run()
    run.remove_gone(run.deadline)
    return run


def put(connections: ConnectionStore, *names: str, **attributes: Any) -> list[str]:
    """Put rows of connections that are past the grace, and give their ids."""
    for name in names:
        connections.put(tracked(name, **attributes))
    return list(names)


def connection_of(request: Received) -> str:
    """Name the connection that a request is about."""
    return unquote(request.target.rpartition("/")[2])


def posts(api: ConnectionsApi) -> Counter[str]:
    """Count the posts to each connection."""
    assert {request.method for request in api.received} <= {"POST"}
    return Counter(map(connection_of, api.received))


def left(client: DynamoDBClient) -> set[str]:
    """Return the ids of all rows."""
    return {item["connectionId"]["S"] for item in client.scan(TableName=TABLE)["Items"]}


def small_pages(client: DynamoDBClient, rows: int) -> None:
    """Make DynamoDB end each page after a few rows."""

    def limit(params: dict[str, Any], **_: object) -> Any:
        return {**params, "Limit": rows}

    for operation in ("Scan", "Query"):
        client.meta.events.register(f"provide-client-params.dynamodb.{operation}", limit)


# To whom


def test_every_live_connection_receives_the_envelope_once(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """As it is, with a signature that is valid; what cannot be alive receives nothing."""
    names = put(connections, *(f"{n}=" for n in range(40)))
    put(connections, "old=", age_s=3 * 3600.0)
    connections.put(replace(tracked("expired="), ttl=now_ms() // 1000 - 1))
    SweepProgress(connections.client, TABLE, NO_DEADLINE).save(Position(None, now_ms()))

    done = deliver(connections)

    assert posts(api) == Counter(names)
    assert {request.body for request in api.received} == {ENVELOPE}
    assert all(is_valid(request, sdk.credentials()) for request in api.received)
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 40}


def test_of_a_table_without_connections_nothing_is_made(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """Nobody is connected: that is no failure."""
    run = delivery_of(connections)
    wire.watch(connections.client)

    assert run.run()

    assert (api.received, run.outcomes, wire.calls) == ([], Counter(), ["Scan"])


def test_named_clients_receive_it_on_each_of_their_connections(
    connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """One Query a client, no Scan; others receive nothing."""
    put(connections, "a1=", "a2=", client_id="ada")
    put(connections, "b1=", client_id="bob")
    put(connections, "c1=", client_id="cy")
    put(connections, "nobody=")
    wire.watch(connections.client)

    done = deliver(connections, "ada", "nobody", "bob", "unknown")

    assert posts(api) == Counter(["a1=", "a2=", "b1="])
    assert wire.calls == ["Query"] * 4
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 3}


@pytest.mark.parametrize(
    "unusable", [{"api_id": None}, {"region": None}, {"stage": None}], ids=lambda it: str(*it)
)
def test_a_connection_whose_api_is_not_known_is_skipped(
    connections: ConnectionStore, api: ConnectionsApi, unusable: dict[str, None]
) -> None:
    """Rows of an earlier version of the application name no API; the others are served."""
    put(connections, "a=", "z=")
    put(connections, "before=", **unusable)

    done = deliver(connections)

    assert posts(api) == Counter(["a=", "z="])
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 2, DeliveryOutcome.SKIPPED: 1}


def test_only_skipped_connections_are_a_delivery_too(connections: ConnectionStore) -> None:
    """It ends, and says so."""
    put(connections, "before=", api_id=None)

    assert deliver(connections).outcomes == {DeliveryOutcome.SKIPPED: 1}


def test_rows_are_read_as_they_are_served(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While 32 posts are in flight, no more of the table has been read than those 32."""
    monkeypatch.setattr(delivery, "CONCURRENCY", 32)
    put(connections, *(f"{n:03}=" for n in range(100)))
    small_pages(dynamodb, 10)
    wire.watch(dynamodb)
    pages_read: list[int] = []
    all_in_flight = threading.Barrier(32, action=lambda: pages_read.append(len(wire.calls)))
    turns = iter(range(100))

    def behave(_: Received) -> Answer:
        if next(turns) < 32:
            all_in_flight.wait(REQUEST_S)
        return Answer()

    api.behave = behave

    done = deliver(connections)

    assert pages_read == [4]
    assert wire.calls == ["Scan"] * 10 or wire.calls == ["Scan"] * 11  # the last may be empty
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 100}
    assert done._in_flight == {}


def test_posts_in_flight_are_bounded(
    connections: ConnectionStore, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each on a keep-alive connection of its own, which carries one after the other."""
    monkeypatch.setattr(delivery, "CONCURRENCY", 4)
    put(connections, *(f"{n}=" for n in range(40)))

    deliver(connections)

    assert len(api.received) == 40
    assert len(api.clients) <= 4


# What comes of a post


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, DeliveryOutcome.DELIVERED),
        (410, DeliveryOutcome.GONE),
        *(
            (status, DeliveryOutcome.FAILED)
            for status in (None, 204, 302, 400, 403, 404, 413, 429, 500)
        ),
    ],
)
def test_an_answer_means_one_outcome(status: int | None, outcome: DeliveryOutcome) -> None:
    """Only 200 is proof of delivery, only 410 that the connection is gone."""
    assert outcome_of(status) is outcome


def test_a_connection_that_is_gone_loses_its_row_past_the_grace_only(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """During a handshake API Gateway answers 410 too."""
    put(connections, "dead=", "live=")
    put(connections, "opening=", age_s=30)
    api.behave = lambda request: Answer(200 if connection_of(request) == "live=" else 410)

    done = deliver(connections)

    assert left(dynamodb) == {"live=", "opening="}
    assert posts(api) == Counter(["dead=", "live=", "opening="])
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 1, DeliveryOutcome.GONE: 2}


def test_a_connection_that_opens_later_in_a_long_delivery_keeps_its_row(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is past the grace by the end of the delivery, but was not when the 410 came."""
    put(connections, "opening=", age_s=1)
    api.behave = lambda _: Answer(410)
    run = delivery_of(connections)

    assert run.run()
    monkeypatch.setattr(delivery, "now_ms", lambda: now_ms() + 70_000)
    run.remove_gone(run.deadline)

    assert left(dynamodb) == {"opening="}


def test_a_gone_connection_of_a_named_client_loses_its_row_too(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The index knows what removing needs."""
    put(connections, "dead=", client_id="ada")
    api.behave = lambda _: Answer(410)

    deliver(connections, "ada")

    assert left(dynamodb) == set()


@pytest.mark.parametrize("client_ids", [(), ("ada",)], ids=["all", "named"])
def test_an_end_is_told_whole_when_the_answer_to_the_removal_is_lost(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    logged: Logged,
    client_ids: tuple[str, ...],
) -> None:
    """The row is not there to be read any more."""
    [name] = put(connections, "dead=", client_id="ada", close_reason="bye")
    api.behave = lambda _: Answer(410)
    losing: Any = Losing(dynamodb, {"delete_item": 1})

    deliver(replace(connections, client=losing), *client_ids)

    [end] = [line for line in logged() if line["message"] == "orphan removed"]
    assert (end["orphanId"], end["clientId"], end["closeReason"]) == (name, "ada", "bye")


def test_a_row_that_was_written_meanwhile_survives(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """Only the row that was read is removed."""
    put(connections, "again=")
    newer = tracked("again=", age_s=0)

    def behave(_: Received) -> Answer:
        connections.put(newer)
        return Answer(410)

    api.behave = behave

    deliver(connections)

    assert connections.get("again=") == newer


def test_every_gone_row_is_removed_and_announced_once(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deliveries do not wait for them; they come after the last post."""
    monkeypatch.setenv("EVENT_BUS", BUS)
    announced = listen()
    names = put(connections, *(f"{n}=" for n in range(5)))
    api.behave = lambda _: Answer(410)
    run = delivery_of(connections)

    assert run.run()

    assert left(dynamodb) == set(names)
    run.remove_gone(run.deadline)
    assert left(dynamodb) == set()
    assert sorted(detail["connectionId"] for detail in announced()) == names


def test_rows_are_removed_within_the_time_only(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The sweep finds those that stay."""
    put(connections, "a=", "b=")
    api.behave = lambda _: Answer(410)
    run = delivery_of(connections)
    assert run.run()

    run.remove_gone(Deadline(time.monotonic()))

    assert left(dynamodb) == {"a=", "b="}


def test_a_row_that_cannot_be_removed_does_not_stop_the_delivery(
    connections: ConnectionStore,
    api: ConnectionsApi,
    wire: Wire,
    logged: Logged,
) -> None:
    """It is logged; the other connections are served."""
    put(connections, "dead=", *(f"{n}=" for n in range(5)))
    wire.watch(connections.client)
    wire.errors["DeleteItem"] = (400, "AccessDeniedException")
    api.behave = lambda request: Answer(410 if connection_of(request) == "dead=" else 200)

    done = deliver(connections)

    assert done.outcomes == {DeliveryOutcome.DELIVERED: 5, DeliveryOutcome.GONE: 1}
    assert "row not removed" in [line["message"] for line in logged()]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_bursts_of_refusals_lose_nothing(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi, status: int
) -> None:
    """What passes is tried again until it is delivered, once."""
    names = put(connections, *(f"{n}=" for n in range(40)))
    turns: Counter[str] = Counter()
    delivered: Counter[str] = Counter()

    def behave(request: Received) -> Answer:
        name = connection_of(request)
        turns[name] += 1
        if turns[name] <= 2:
            return Answer(status)
        delivered[name] += 1
        return Answer()

    api.behave = behave

    done = deliver(connections)

    assert delivered == Counter(names)
    assert set(turns.values()) == {3}
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 40}
    assert left(dynamodb) == set(names)


@pytest.mark.parametrize(("status", "tries"), [(429, 3), (503, 3), (400, 1), (403, 1), (413, 1)])
def test_a_connection_that_stays_refused_fails_alone_and_keeps_its_row(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
    status: int,
    tries: int,
) -> None:
    """What can pass is tried as often as the policy has it, the rest once; the log names it."""
    monkeypatch.setattr(management, "MAX_ATTEMPTS", 3)
    names = put(connections, "full=", *(f"{n}=" for n in range(10)))
    api.behave = lambda request: Answer(status if connection_of(request) == "full=" else 200)

    done = deliver(connections)

    assert posts(api) == Counter(names) + Counter({"full=": tries - 1})
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 10, DeliveryOutcome.FAILED: 1}
    assert left(dynamodb) == set(names)
    [line] = logged()
    assert (line["level"], line["message"]) == ("WARNING", "not delivered")
    assert (line["failedId"], line["status"]) == ("full=", status)


def test_a_connection_that_hangs_is_timed_out_alone(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi, logged: Logged
) -> None:
    """All others are served while it hangs; it may have the message, so it is not tried again."""
    names = put(connections, "stuck=", *(f"{n}=" for n in range(60)))
    served_while_stuck: list[int] = []
    others_served = threading.Semaphore(0)

    def behave(request: Received) -> Any:
        if connection_of(request) != "stuck=":
            others_served.release()
            return Answer()
        served_while_stuck.append(
            sum(others_served.acquire(timeout=REQUEST_S) for _ in range(len(names) - 1))
        )
        return "hang"

    api.behave = behave

    done = deliver(connections)

    assert served_while_stuck == [60]
    assert posts(api) == Counter(names)
    assert done.outcomes == {DeliveryOutcome.DELIVERED: 60, DeliveryOutcome.FAILED: 1}
    assert left(dynamodb) == set(names)
    [line] = logged()
    assert (line["failedId"], line["status"]) == ("stuck=", None)
    assert line["error"] == "no answer within 3 s"


def test_an_answer_that_breaks_off_fails_alone(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """No lane of the delivery is lost with it."""
    put(connections, "cut=", *(f"{n}=" for n in range(60)))
    api.behave = lambda request: "cut" if connection_of(request) == "cut=" else Answer()

    done = deliver(connections)

    assert done.outcomes == {DeliveryOutcome.DELIVERED: 60, DeliveryOutcome.FAILED: 1}


def test_each_post_is_timed(connections: ConnectionStore) -> None:
    """The times are those of the last try of each connection."""
    put(connections, *(f"{n}=" for n in range(5)))

    p50 = deliver(connections).latencies.percentile(50)

    assert p50 is not None
    assert 0 < p50 < REQUEST_S


# In parts


def test_a_place_survives_an_event() -> None:
    """As JSON, which knows no tuples."""
    for place in (
        Cursor(),
        Cursor(("https://a/dev", "https://b/dev"), 1, 2, ("a=", 1731324924561)),
    ):
        assert Cursor.from_json(json.loads(json.dumps(place.to_json()))) == place


def test_without_time_nothing_is_begun_and_the_place_stays(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """A post that could not be answered in time is not made."""
    put(connections, *(f"{n}=" for n in range(5)))
    for seconds in (-1.0, REQUEST_S - 1):
        run = delivery_of(connections, seconds)

        assert not run.run()

        assert run.cursor == Cursor()
    assert api.received == []


class Endless(ConnectionStore):
    """A table too long to be got through, which takes no time to read."""

    api_id: str | None = "local"

    def live(self, *_: object, **__: object) -> Iterator[Connection]:
        """Return ever more connections."""
        return (tracked(f"{n}=", api_id=self.api_id) for n in range(1_000_000))


def test_the_rest_begins_at_the_first_connection_that_was_not_begun(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """When the time ends while posts are under way, they are answered and no other begins."""
    put(connections, "first=")
    deliver(connections)  # the runtime is loaded now, which takes time
    api.received.clear()
    run = delivery_of(Endless(dynamodb, TABLE, NO_DEADLINE), seconds=REQUEST_S + 0.5)

    assert not run.run()

    served = posts(api)
    assert served == Counter(f"{n}=" for n in range(len(served)))
    assert run.outcomes == {DeliveryOutcome.DELIVERED: len(served)}
    assert run.cursor.after is not None
    assert run.cursor.after[0] == f"{len(served) - 1}="


@pytest.mark.usefixtures("connections")
def test_the_time_ends_also_while_nobody_is_found_to_serve(
    dynamodb: DynamoDBClient, api: ConnectionsApi
) -> None:
    """Rows that are passed over take time too, and are not passed over again."""
    endless = Endless(dynamodb, TABLE, NO_DEADLINE)
    endless.api_id = None
    run = delivery_of(endless, seconds=0.5)

    assert not run.run()

    assert api.received == []
    assert run.cursor.after is not None
    assert run.cursor.after[0] == f"{run.outcomes[DeliveryOutcome.SKIPPED] - 1}="


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a delivery have two posts in flight, so that it can be cut after few.

    A post may take long, so that a busy machine loses none.
    """
    monkeypatch.setattr(delivery, "CONCURRENCY", 2)
    monkeypatch.setattr(ConnectionsApiClient, "timeout", 30.0)


@pytest.fixture
def apis(api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell APIs apart by the path of their address, all on the one server."""

    def endpoint(connection: Connection, _override: str) -> Endpoint | None:
        if connection.api_id is None:
            return None
        return Endpoint.of("", "eu-west-1", "", f"{api.url}/{connection.api_id}")

    monkeypatch.setattr(delivery, "endpoint_of", endpoint)


def run_in_parts(
    connections: ConnectionStore, api: ConnectionsApi, cut_after: int, **fields: Any
) -> tuple[int, Counter[DeliveryOutcome]]:
    """Deliver in runs that are each out of time after so many posts; count runs and outcomes."""
    place, outcomes, runs = Cursor(), Counter[DeliveryOutcome](), 0
    finished = False
    while not finished:
        run = delivery_of(connections, cursor=place, **fields)
        posted = iter(range(1, 1000))

        def behave(
            _: Received, run: Delivery = run, posted: Any = posted, last: int = cut_after
        ) -> Answer:
            if next(posted) >= last:
                run.deadline = Deadline(0.0)
            return Answer()

        api.behave = behave
        finished = run.run()
        assert finished or run.cursor != place, "no progress"
        place = Cursor.from_json(json.loads(json.dumps(run.cursor.to_json())))
        outcomes += run.outcomes
        runs += 1
    return runs, outcomes


TARGETS = {"everybody": None, "clients": tuple(f"client {n}" for n in range(6))}


@pytest.mark.usefixtures("two_at_once", "apis")
@pytest.mark.parametrize("client_ids", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("cut_after", [1, 4, 11])
@pytest.mark.parametrize("number_of_apis", [1, 2, 3])
def test_over_runs_that_are_cut_everyone_is_served_once(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    api: ConnectionsApi,
    client_ids: tuple[str, ...] | None,
    cut_after: int,
    number_of_apis: int,
) -> None:
    """Wherever it is cut, and in whatever order connections of several APIs follow one another."""
    small_pages(dynamodb, 7)
    expected: Counter[str] = Counter()
    for n in range(36):
        api_id = f"api{n * 7 % 5 % number_of_apis}"
        put(connections, f"{n}=", api_id=api_id, client_id=f"client {n % 6}", age_s=100 + n)
        expected[f"/dev/{api_id}/@connections/{n}%3D"] += 1
    put(connections, "before=", api_id=None, client_id="client 3")

    runs, outcomes = run_in_parts(connections, api, cut_after, client_ids=client_ids)

    assert Counter(request.target for request in api.received) == expected
    assert outcomes == {DeliveryOutcome.DELIVERED: 36, DeliveryOutcome.SKIPPED: 1}
    assert runs > 1


@pytest.mark.usefixtures("two_at_once")
def test_a_place_holds_when_its_connection_has_gone_meanwhile(
    connections: ConnectionStore, api: ConnectionsApi
) -> None:
    """The next run goes on after it, though its row is not there any more."""
    names = put(connections, *(f"{n:02}=" for n in range(20)), client_id="ada")
    first = delivery_of(connections)

    def behave(_: Received) -> Answer:
        first.deadline = Deadline(0.0)
        return Answer()

    api.behave = behave
    assert not first.run()
    assert first.cursor.after is not None
    connections.delete(first.cursor.after[0])

    second = delivery_of(connections, cursor=first.cursor)
    assert second.run()

    assert posts(api) == Counter(names)


@pytest.mark.usefixtures("two_at_once")
def test_a_table_that_cannot_be_read_leaves_the_place_at_those_served(
    dynamodb: DynamoDBClient, connections: ConnectionStore, api: ConnectionsApi, wire: Wire
) -> None:
    """Everyone who was read is served, and the rest can go on."""
    names = put(connections, *(f"{n}=" for n in range(10)))
    small_pages(dynamodb, 4)
    wire.watch(dynamodb)
    run = delivery_of(connections)

    def behave(_: Received) -> Answer:
        wire.errors["Scan"] = (400, "AccessDeniedException")
        return Answer()

    api.behave = behave
    with pytest.raises(StoreError):
        run.run()
    assert len(posts(api)) == run.outcomes[DeliveryOutcome.DELIVERED] == 4
    wire.errors.clear()
    api.behave = lambda _: Answer()

    assert delivery_of(connections, cursor=run.cursor).run()

    assert posts(api) == Counter(names)
