"""The adapter of the connections table, on an in-process DynamoDB."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib import store
from chalicelib.domain.connection import MARGIN_MS, MAX_DURATION_MS, Connection
from chalicelib.domain.errors import MalformedRowError, StoreError
from chalicelib.domain.rows import to_item
from chalicelib.store import CLIENT_INDEX, SWEEP_ROW, ConnectionStore, Position, open_store
from tests.conftest import TABLE

NOW_MS = 1731324924561
NOW_S = NOW_MS // 1000
CONNECTION = Connection("L0SM9cOFvHcCIhw=", created_at=NOW_MS, ttl=NOW_S + 86_400)


def connection(name: str, age_s: int = 0, client_id: str = "alice") -> Connection:
    """Describe a connection of this age that has all its metadata."""
    return Connection(
        connection_id=name,
        created_at=NOW_MS - 1000 * age_s,
        ttl=NOW_S - age_s + 86_400,
        client_id=client_id,
        connected_at=NOW_MS - 1000 * age_s - 5,
        source_ip="203.0.113.7",
        user_agent="Mozilla/5.0",
        region="eu-west-1",
        api_id="abcdef1234",
        stage="dev",
        domain_name="ws.example.com",
    )


@pytest.fixture
def connections(dynamodb: DynamoDBClient) -> ConnectionStore:
    """Give a store of an empty table."""
    return ConnectionStore(dynamodb, TABLE)


@pytest.fixture
def fill(connections: ConnectionStore) -> Callable[..., list[Connection]]:
    """Give a function that puts connections and gives them back."""

    def put(*wanted: Connection) -> list[Connection]:
        for each in wanted:
            connections.put(each)
        return list(wanted)

    return put


def small_pages(client: DynamoDBClient, operation: str, rows: int = 2) -> list[dict[str, Any]]:
    """Make DynamoDB end each page after a few rows, and record what it is asked."""
    asked: list[dict[str, Any]] = []

    def limit(params: dict[str, Any], **_: object) -> Any:
        asked.append(params)
        return {**params, "Limit": rows}

    client.meta.events.register(f"provide-client-params.dynamodb.{operation}", limit)
    return asked


def names(found: Iterator[Connection]) -> list[str]:
    """Give the ids, in the order in which they were found."""
    return [each.connection_id for each in found]


def test_a_row_that_was_put_is_read(connections: ConnectionStore) -> None:
    """What was written comes back as it was."""
    for written in (CONNECTION, connection("a=")):
        connections.put(written)

        assert connections.get(written.connection_id) == written


def test_a_row_that_is_not_there_is_none(connections: ConnectionStore) -> None:
    """Neither reading nor removing nothing is an error."""
    assert connections.get("nobody=") is None
    assert connections.delete("nobody=") is None


def test_delete_gives_the_row_that_was_removed(connections: ConnectionStore) -> None:
    """The old row is all that is known of a connection that has ended."""
    connections.put(CONNECTION)

    assert connections.delete(CONNECTION.connection_id) == CONNECTION
    assert connections.get(CONNECTION.connection_id) is None


def test_put_replaces_an_earlier_row(connections: ConnectionStore) -> None:
    """A retry leaves one row, the newest."""
    newer = Connection(CONNECTION.connection_id, CONNECTION.created_at + 1, CONNECTION.ttl + 1)
    connections.put(CONNECTION)
    connections.put(newer)

    assert connections.get(CONNECTION.connection_id) == newer


CALLS: dict[str, Callable[[ConnectionStore], object]] = {
    "PutItem": lambda rows: rows.put(CONNECTION),
    "GetItem": lambda rows: rows.get("id="),
    "DeleteItem": lambda rows: rows.delete("id="),
    "UpdateItem": lambda rows: rows.mark_closing(CONNECTION, "kicked"),
    "Query": lambda rows: list(rows.of_client("alice", NOW_MS)),
    "Scan": lambda rows: list(rows.live(NOW_MS)),
}


@pytest.mark.parametrize("operation", CALLS)
def test_every_operation_tells_what_failed(dynamodb: DynamoDBClient, operation: str) -> None:
    """The error has the operation, the table and the cause."""
    nowhere = ConnectionStore(dynamodb, "Nowhere")

    with pytest.raises(StoreError) as caught:
        CALLS[operation](nowhere)

    assert (caught.value.operation, caught.value.table) == (operation, "Nowhere")
    assert caught.value.code == "ResourceNotFoundException"
    assert "ResourceNotFoundException" in caught.value.cause


def test_without_a_region_no_store_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause is told, and the next invocation tries again."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StoreError, match="NoRegionError"):
        open_store(TABLE)

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    open_store(TABLE)


def test_the_client_is_made_once() -> None:
    """Making a client is a third of a cold start."""
    assert store.dynamodb() is store.dynamodb()


def test_one_live_connection_is_read(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """One that cannot be alive is as good as none."""
    [alive, _, _] = fill(
        connection("alive="),
        connection("old=", age_s=3 * 3600),
        replace(connection("expired="), ttl=NOW_S),
    )

    assert connections.live_one("alive=", NOW_MS) == alive
    assert connections.live_one("old=", NOW_MS) is None
    assert connections.live_one("expired=", NOW_MS) is None
    assert connections.live_one("nobody=", NOW_MS) is None


def test_the_connections_of_a_client_come_newest_first(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """With all that the row knows, and without those of others."""
    second, first, third = fill(
        connection("b=", age_s=20), connection("c=", age_s=10), connection("a=", age_s=30)
    )
    fill(connection("d=", client_id="bob"), connection("e=", client_id="alic"))

    assert list(connections.of_client("alice", NOW_MS)) == [first, second, third]
    assert names(connections.of_client("bob", NOW_MS)) == ["d="]
    assert names(connections.of_client("nobody", NOW_MS)) == []


def test_the_connections_of_a_client_are_read_to_the_last_page(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
) -> None:
    """Also when a page has nothing that is alive."""
    fill(*(connection(f"{n}=", age_s=n) for n in range(7)))
    for n in (2, 3):  # the second page
        connections.put(replace(connection(f"{n}=", age_s=n), ttl=NOW_S))
    asked = small_pages(dynamodb, "Query")

    assert names(connections.of_client("alice", NOW_MS)) == ["0=", "1=", "4=", "5=", "6="]
    assert len(asked) == 4


def test_dead_connections_of_a_client_are_left_out(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """Past the time to live, which DynamoDB acts on late, or older than a connection can be."""
    oldest_s = (MAX_DURATION_MS + MARGIN_MS) // 1000
    fill(
        connection("new="),
        connection("almost=", age_s=oldest_s - 1),
        connection("old=", age_s=oldest_s),
        connection("ancient=", age_s=86_400),
        replace(connection("expired=", age_s=5), ttl=NOW_S),
        replace(connection("living=", age_s=6), ttl=NOW_S + 1),
    )

    assert names(connections.of_client("alice", NOW_MS)) == ["new=", "living=", "almost="]


def test_anonymous_connections_are_not_in_the_index(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
) -> None:
    """They would pile up on one partition, whose limit of writes is everybody's."""
    fill(connection("known="), *(connection(f"{n}=", client_id="unknown") for n in range(3)))

    index = dynamodb.scan(TableName=TABLE, IndexName=CLIENT_INDEX)["Items"]

    assert [item["connectionId"]["S"] for item in index] == ["known="]
    assert len(names(connections.live(NOW_MS))) == 4
    assert names(connections.of_client("unknown", NOW_MS)) == []


def test_every_live_connection_is_read(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
) -> None:
    """From page to page, without the dead, the malformed and the sweep's own row."""
    living = fill(*(connection(f"{n}=", age_s=n, client_id="unknown") for n in range(5)))
    living += fill(*(connection(f"{n}=", age_s=n) for n in range(5, 7)))
    fill(
        connection("old=", age_s=3 * 3600),
        connection("old2=", age_s=86_400 + 60),
        replace(connection("expired="), ttl=NOW_S - 1),
    )
    for malformed in (
        {"connectionId": {"S": "bare="}},
        to_item(CONNECTION)
        | {"connectionId": {"S": "half="}, "createdAt": {"N": str(NOW_MS) + ".5"}},
    ):
        dynamodb.put_item(TableName=TABLE, Item=malformed)
    connections.save_position(Position(None, NOW_MS))
    asked = small_pages(dynamodb, "Scan")

    found = list(connections.live(NOW_MS))

    assert sorted(found, key=lambda each: each.connection_id) == living
    assert len(asked) >= 7


@pytest.mark.parametrize("rows_a_page", [2, 3, 100])
def test_reading_every_connection_goes_on_after_any_of_them(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
    rows_a_page: int,
) -> None:
    """What comes after it is read once, in the same order, nothing before it."""
    fill(*(connection(f"{n}=", age_s=n) for n in range(7)))
    small_pages(dynamodb, "Scan", rows_a_page)
    every = names(connections.live(NOW_MS))

    for number, name in enumerate(every):
        rest = names(connections.live(NOW_MS, addresses_only=True, after=name))

        assert rest == every[number + 1 :]


@pytest.mark.parametrize("rows_a_page", [2, 3, 100])
def test_reading_a_client_s_connections_goes_on_after_any_of_them(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
    rows_a_page: int,
) -> None:
    """The place is in the index, where a connection is found by its age as well."""
    every = fill(*(connection(f"{6 - n}=", age_s=n) for n in range(7)))
    fill(connection("other=", age_s=3, client_id="bob"))
    small_pages(dynamodb, "Query", rows_a_page)

    for number, each in enumerate(every):
        after = each.connection_id, each.created_at

        assert list(connections.of_client("alice", NOW_MS, after=after)) == every[number + 1 :]


def test_reading_goes_on_after_a_connection_that_has_no_row_any_more(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """A place is a key, which need not be there."""
    every = fill(*(connection(f"{n}=", age_s=n) for n in range(5)))
    order = names(connections.live(NOW_MS))
    connections.delete("2=")

    rest = names(connections.live(NOW_MS, after="2="))
    newest_first = connections.of_client("alice", NOW_MS, after=("2=", every[2].created_at))

    assert rest == order[order.index("2=") + 1 :]
    assert names(newest_first) == ["3=", "4="]


def test_more_than_a_page_of_dynamodb_s_own_is_read(
    dynamodb: DynamoDBClient, connections: ConnectionStore
) -> None:
    """A page ends after 1 MB, whatever was asked for."""
    for n in range(6):
        item = to_item(connection(f"{n}=", age_s=n)) | {"padding": {"S": "x" * 350_000}}
        dynamodb.put_item(TableName=TABLE, Item=item)
    first_page = dynamodb.scan(TableName=TABLE)
    assert "LastEvaluatedKey" in first_page

    assert sorted(names(connections.live(NOW_MS))) == [f"{n}=" for n in range(6)]
    assert names(connections.of_client("alice", NOW_MS)) == [f"{n}=" for n in range(6)]


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_several_readers_share_the_table(
    connections: ConnectionStore, fill: Callable[..., list[Connection]], readers: int
) -> None:
    """Each connection is read by one of them."""
    living = fill(*(connection(f"{n}=", age_s=n) for n in range(20)))

    parts = [list(connections.live(NOW_MS, (n, readers))) for n in range(readers)]

    assert len([each for part in parts for each in part]) == len(living)
    assert {each for part in parts for each in part} == set(living)
    assert sum(bool(part) for part in parts) > readers // 2


def test_only_what_posting_needs_is_read_on_request(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
) -> None:
    """Where the connection is; not who, nor from where."""
    fill(connection("a="), connection("old=", age_s=3 * 3600))
    asked = small_pages(dynamodb, "Scan", 100)

    [found] = connections.live(NOW_MS, addresses_only=True)

    assert found == Connection(
        "a=", NOW_MS, NOW_S + 86_400, region="eu-west-1", api_id="abcdef1234", stage="dev"
    )
    [request] = asked
    projected = {name.strip() for name in request["ProjectionExpression"].split(",")}
    assert projected == {"connectionId", "createdAt", "#ttl", "#region", "apiId", "stage"}


def test_no_expression_uses_a_reserved_word(
    dynamodb: DynamoDBClient, connections: ConnectionStore
) -> None:
    """DynamoDB refuses those, and its stand-ins do not everywhere."""
    asked: list[dict[str, Any]] = []

    def record(params: dict[str, Any], **_: object) -> None:
        asked.append(params)

    dynamodb.meta.events.register("provide-client-params.dynamodb.*", record)
    connections.put(CONNECTION)
    list(connections.of_client("alice", NOW_MS))
    list(connections.live(NOW_MS, (0, 2), addresses_only=True))
    list(connections.pages(None))
    connections.mark_closing(CONNECTION, "kicked")
    connections.remove(CONNECTION)

    reserved = set(ReservedKeywords.get_reserved_keywords())
    expressions = [
        text for params in asked for name, text in params.items() if name.endswith("Expression")
    ]
    words = {
        word
        for text in expressions
        for word in re.findall(r"(?<![#:\w])\w+", text)
        if word not in {"AND", "SET"}
    }
    assert {"createdAt", "connectionId", "closing", "stage"} <= words
    assert "REGION" in reserved
    assert {word for word in words if word.upper() in reserved} == set()


def test_an_intent_is_written_to_its_connection_only(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """A row that is gone stays gone, and one of a newer connection is left alone."""
    [mine] = fill(connection("a="))
    connections.mark_closing(mine, "kicked")
    assert connections.get("a=") == replace(mine, closing="kicked")

    [newer] = fill(replace(mine, created_at=mine.created_at + 1))
    connections.mark_closing(mine, "replaced")
    assert connections.get("a=") == newer

    connections.delete("a=")
    connections.mark_closing(mine, "kicked")
    assert connections.get("a=") is None


def test_a_judged_row_is_removed_once(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """Whoever removes it is told what it was, and nobody else."""
    [judged] = fill(connection("a="))

    assert connections.remove(judged) == judged
    assert connections.remove(judged) is None


def test_a_row_that_is_not_the_judged_one_stays(
    connections: ConnectionStore, fill: Callable[..., list[Connection]]
) -> None:
    """A connection that registered meanwhile survives; a mark on the judged one is no change."""
    [judged] = fill(connection("a="))
    [newer] = fill(replace(judged, created_at=judged.created_at + 1))
    assert connections.remove(judged) is None
    assert connections.get("a=") == newer

    connections.mark_closing(newer, "kicked")
    assert connections.remove(newer) == replace(newer, closing="kicked")


def test_the_whole_table_is_read_in_pages(
    dynamodb: DynamoDBClient,
    connections: ConnectionStore,
    fill: Callable[..., list[Connection]],
) -> None:
    """Dead rows and malformed ones too; it can be read on from behind any row."""
    every = fill(*(connection(f"{n}=", age_s=n * 3600) for n in range(5)))
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": "bare="}})
    connections.save_position(Position(None, NOW_MS))
    small_pages(dynamodb, "Scan")

    pages = list(connections.pages(None))

    read = [each for page in pages for each in page.connections]
    assert len(read) == len(every)
    assert set(read) == set(every)
    assert [name for page in pages for name in page.malformed] == ["bare="]
    for number, last in enumerate(read, start=1):
        rest = connections.pages(last.connection_id)
        assert [each for page in rest for each in page.connections] == read[number:]


def test_a_position_is_remembered(connections: ConnectionStore) -> None:
    """It is a row that no reader takes for a connection."""
    assert connections.position() is None
    for position in (Position("a=", NOW_MS, NOW_MS - 1, 7), Position(None, NOW_MS)):
        connections.save_position(position)

        assert connections.position() == position
    assert names(connections.live(NOW_MS)) == []
    with pytest.raises(MalformedRowError):
        connections.get(SWEEP_ROW)
