"""Reading the connections table in moto's DynamoDB."""

from dataclasses import replace

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.connection import Connection
from chalicelib.domain.rows import to_item
from chalicelib.domain.sweep_position import Position
from chalicelib.reader import CLIENT_INDEX
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from tests.chalicelib.conftest import Put
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE
from tests.support.stored import NOW_MS, NOW_S, ONE, aged, connection, names, requests

OLDEST_S = 2 * 3600 + 300  # the age that no connection can reach


def test_single_rows_are_read_consistently(
    dynamodb: DynamoDBClient, connections: ConnectionStore
) -> None:
    made = requests(dynamodb, "GetItem")

    connections.get("one=")

    assert [request["ConsistentRead"] for request in made] == [True]


def test_one_connection_is_found_only_if_it_can_be_alive(
    connections: ConnectionStore, put: Put
) -> None:
    put(ONE, connection("old=", age_s=OLDEST_S), replace(connection("expired="), ttl=NOW_S))

    found = [connections.live_one(name, NOW_MS) for name in ("one=", "old=", "expired=", "none=")]

    assert found == [ONE, None, None, None]


def test_the_connections_of_a_client_come_newest_first(
    connections: ConnectionStore, put: Put
) -> None:
    second, first, third = put(connection("b=", 20), connection("c=", 10), connection("a=", 30))
    put(connection("d=", client_id="bob"), connection("e=", client_id="alic"))

    assert list(connections.of_client("alice", NOW_MS)) == [first, second, third]
    assert names(connections.of_client("bob", NOW_MS)) == ["d="]
    assert names(connections.of_client("nobody", NOW_MS)) == []


def test_the_connections_of_a_client_are_read_to_the_last_page(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    every = put(*aged(7))
    for each in every[2:4]:  # an empty second page
        dynamodb.put_item(TableName=TABLE, Item=to_item(replace(each, ttl=NOW_S)))
    made = requests(dynamodb, "Query", rows=2)

    assert names(connections.of_client("alice", NOW_MS)) == ["0=", "1=", "4=", "5=", "6="]
    assert len(made) == 4


def test_connections_that_cannot_be_alive_are_left_out(
    connections: ConnectionStore, put: Put
) -> None:
    """DynamoDB deletes expired rows late."""
    put(
        connection("new="),
        replace(connection("living=", age_s=6), ttl=NOW_S + 1),
        connection("almost=", age_s=OLDEST_S - 1),
        connection("old=", age_s=OLDEST_S),
        connection("ancient=", age_s=86_400),
        replace(connection("expired=", age_s=5), ttl=NOW_S),
    )

    assert names(connections.of_client("alice", NOW_MS)) == ["new=", "living=", "almost="]
    assert sorted(names(connections.live(NOW_MS))) == ["almost=", "living=", "new="]


def test_anonymous_connections_are_not_in_the_index(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    """They would share one partition, whose write limit throttles the table."""
    put(connection("known="), *aged(3, client_id="unknown"))

    index = dynamodb.scan(TableName=TABLE, IndexName=CLIENT_INDEX)["Items"]

    assert [item["connectionId"]["S"] for item in index] == ["known="]
    assert len(names(connections.live(NOW_MS))) == 4
    assert names(connections.of_client("unknown", NOW_MS)) == []


def test_every_live_connection_is_read(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    """From page to page, without malformed rows and the sweep's own."""
    living = put(*aged(5, client_id="unknown"), *aged(7)[5:])
    half = to_item(ONE) | {"connectionId": {"S": "half="}, "createdAt": {"N": f"{NOW_MS}.5"}}
    for malformed in ({"connectionId": {"S": "bare="}}, half):
        dynamodb.put_item(TableName=TABLE, Item=malformed)
    SweepProgress(dynamodb, TABLE, NO_DEADLINE).save(Position(None, NOW_MS))
    made = requests(dynamodb, "Scan", rows=2)

    found = list(connections.live(NOW_MS))

    assert sorted(found, key=lambda each: each.connection_id) == living
    assert len(made) >= 5


@pytest.mark.parametrize("rows", [2, 3, 100])
def test_reading_every_connection_continues_behind_any_of_them(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put, rows: int
) -> None:
    put(*aged(7))
    requests(dynamodb, "Scan", rows)
    every = names(connections.live(NOW_MS))

    for number, name in enumerate(every):
        rest = names(connections.live(NOW_MS, addresses_only=True, after=name))

        assert rest == every[number + 1 :]


@pytest.mark.parametrize("rows", [2, 3, 100])
def test_reading_the_connections_of_a_client_continues_behind_any_of_them(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put, rows: int
) -> None:
    every = put(*(connection(f"{6 - n}=", age_s=n) for n in range(7)))
    put(connection("other=", age_s=3, client_id="bob"))
    requests(dynamodb, "Query", rows)

    for number, each in enumerate(every):
        after = each.connection_id, each.created_at

        assert list(connections.of_client("alice", NOW_MS, after=after)) == every[number + 1 :]


def test_nothing_follows_a_connection_that_has_become_too_old(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    """A long delivery continues minutes later. DynamoDB would refuse to start there."""
    put(connection("young="), connection("old=", age_s=OLDEST_S - 1))
    last = "old=", connection("old=", age_s=OLDEST_S - 1).created_at
    made = requests(dynamodb, "Query")

    found = [list(connections.of_client("alice", NOW_MS + ms, after=last)) for ms in (999, 1000)]

    assert (found, len(made)) == ([[], []], 1)


def test_reading_continues_behind_a_row_that_was_deleted(
    connections: ConnectionStore, put: Put
) -> None:
    every = put(*aged(5))
    order = names(connections.live(NOW_MS))
    connections.delete("2=")

    rest = names(connections.live(NOW_MS, after="2="))
    older = connections.of_client("alice", NOW_MS, after=("2=", every[2].created_at))

    assert rest == order[order.index("2=") + 1 :]
    assert names(older) == ["3=", "4="]


def test_more_than_dynamodbs_largest_page_is_read(
    dynamodb: DynamoDBClient, connections: ConnectionStore
) -> None:
    """A page ends after 1 MB."""
    for each in aged(6):
        item = to_item(each) | {"padding": {"S": "x" * 350_000}}
        dynamodb.put_item(TableName=TABLE, Item=item)
    assert "LastEvaluatedKey" in dynamodb.scan(TableName=TABLE)

    assert sorted(names(connections.live(NOW_MS))) == [f"{n}=" for n in range(6)]
    assert names(connections.of_client("alice", NOW_MS)) == [f"{n}=" for n in range(6)]


@pytest.mark.parametrize("segments", [1, 2, 5])
def test_the_segments_of_a_parallel_scan_share_the_table(
    connections: ConnectionStore, put: Put, segments: int
) -> None:
    living = put(*aged(20))

    parts = [list(connections.live(NOW_MS, (n, segments))) for n in range(segments)]

    read = [each for part in parts for each in part]
    assert len(read) == len(living)
    assert set(read) == set(living)
    assert sum(bool(part) for part in parts) > segments // 2


def test_addresses_only_reads_what_posting_and_an_end_need(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    put(ONE, connection("old=", age_s=OLDEST_S))
    made = requests(dynamodb, "Scan")

    [found] = connections.live(NOW_MS, addresses_only=True)

    assert found == Connection(
        "one=",
        NOW_MS,
        NOW_S + 86_400,
        client_id=ONE.client_id,
        connected_at=ONE.connected_at,
        region="eu-west-1",
        api_id="abcdef1234",
        stage="dev",
    )
    [request] = made
    projected = {name.strip() for name in request["ProjectionExpression"].split(",")}
    assert projected == {
        "connectionId",
        "createdAt",
        "connectedAt",
        "#ttl",
        "#region",
        "apiId",
        "stage",
        "expiresAt",
        "clientId",
        "closeReason",
    }


def test_the_pages_of_the_table_hold_every_row_but_the_sweeps(
    dynamodb: DynamoDBClient, connections: ConnectionStore, put: Put
) -> None:
    """Also dead and malformed rows. They can be read from behind any row."""
    every = put(*(connection(f"{n}=", age_s=n * 3600) for n in range(5)))
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": "bare="}})
    SweepProgress(dynamodb, TABLE, NO_DEADLINE).save(Position(None, NOW_MS))
    made = requests(dynamodb, "Scan", rows=2)

    pages = list(connections.pages(None))

    read = [each for page in pages for each in page.connections]
    assert len(read) == len(every)
    assert set(read) == set(every)
    assert [row["connectionId"]["S"] for page in pages for row in page.malformed] == ["bare="]
    assert {request["Limit"] for request in made} == {500}
    for number, last in enumerate(read, start=1):
        rest = connections.pages(last.connection_id)
        assert [each for page in rest for each in page.connections] == read[number:]
