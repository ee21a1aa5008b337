"""The history table: appends side by side, lost answers, and what is read back."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib import history
from chalicelib.clock import Deadline
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import ALL, KEPT_IDS, Entry, Place
from chalicelib.history import History, open_history
from tests.conftest import CREATIONS, HISTORY, ROOT, Wire
from tests.support.connections import NO_DEADLINE, now_ms
from tests.support.losing import Losing

HOUR = 3600
ENVELOPE = '{"type":"notification"}'
METHODS = ("get_item", "transact_write_items")
AT_ONCE = 12


@pytest.fixture
def log(dynamodb: DynamoDBClient) -> History:
    """Return an empty history."""
    return History(dynamodb, HISTORY, NO_DEADLINE)


def create_tables(client: DynamoDBClient, *names: str) -> None:
    """Create the project's tables, or those with these names."""
    for creation in CREATIONS:
        if not names or creation["TableName"] in names:
            client.create_table(**creation)


def append(log: History, notification_id: str, stream: str = ALL) -> Place:
    """Record a notification and return its place."""
    return log.append(stream, notification_id, ENVELOPE, HOUR)[0]


def entries(log: History, stream: str = ALL) -> list[Entry]:
    """Return all entries of a stream."""
    head = log.head(stream)
    found: list[Entry] = []
    reached = 0
    while head and reached < head.seq:
        batch = log.read(stream, reached, head.seq, 100, now_ms())
        found += batch.entries
        reached = batch.reached
    return found


def is_chain(found: list[Entry]) -> bool:
    """Return whether each entry names the one before it, and the first one none."""
    prevs = [0, *(each.place.seq for each in found[:-1])]
    return [each.place.prev for each in found] == prevs


def losing(
    log: History, lost: dict[str, int] | None = None, unsent: dict[str, int] | None = None
) -> History:
    """Return the history with a client that loses answers."""
    return replace(log, client=Losing(log.client, lost or {}, unsent))  # type: ignore[arg-type] # a fake


# Numbers


def test_an_append_costs_one_read_and_one_transaction(log: History, wire: Wire) -> None:
    """One unit to read the head; each of the two rows under 1 KB costs two units to write."""
    before = now_ms()
    subject = open_history(HISTORY, NO_DEADLINE)

    place = append(subject, "a")

    assert wire.calls == ["GetItem", "TransactWriteItems"]
    assert before <= place.seq == place.at <= now_ms()
    rows = log.client.scan(TableName=HISTORY)["Items"]
    assert sorted(int(row["seq"]["N"]) for row in rows) == [0, place.seq]
    assert all(len(json.dumps(row)) < 1024 for row in rows)


def test_a_head_with_all_its_ids_is_under_one_kb(log: History) -> None:
    """It is written with each notification: SNS's ids have 36 characters."""
    for number in range(KEPT_IDS + 1):
        append(log, f"95df01b4-ee98-5cb9-9903-4c221d41{number:04}")

    item = log.client.get_item(TableName=HISTORY, Key={"stream": {"S": ALL}, "seq": {"N": "0"}})
    row = item["Item"]
    assert len(row["ids"]["L"]) == KEPT_IDS
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    ids = 3 + KEPT_IDS * (36 + 1)
    assert ids + len("streamseqheadatids" + ALL) + 4 * 21 < 1024


def test_each_entry_names_the_one_before_it(log: History) -> None:
    """Streams are independent of each other."""
    for notification_id in ("a", "b", "c"):
        append(log, notification_id)
        append(log, notification_id, "c#ada")

    for stream in (ALL, "c#ada"):
        found = entries(log, stream)
        assert [each.id for each in found] == ["a", "b", "c"]
        assert is_chain(found)


def test_a_table_made_anew_goes_on_above_the_old_numbers(
    log: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stands at an old number is not told that nothing is new."""
    old = [append(log, f"old-{number}") for number in range(3)]
    log.client.delete_table(TableName=HISTORY)
    create_tables(log.client, HISTORY)
    later = now_ms() + 60_000
    monkeypatch.setattr(history, "now_ms", lambda: later)

    new = append(log, "new")

    assert new.seq > old[-1].seq
    assert new.prev == 0


@pytest.mark.parametrize("others", [0, 1, KEPT_IDS - 1])
def test_a_repeat_has_the_number_of_the_first(log: History, others: int) -> None:
    """SNS and Lambda deliver more than once."""
    append(log, "before")
    first = append(log, "a")
    for number in range(others):
        append(log, f"other-{number}")

    again, is_new = log.append(ALL, "a", ENVELOPE, HOUR)

    assert (again.seq, again.prev, is_new) == (first.seq, first.prev, False)
    assert len(entries(log)) == others + 2


def test_a_late_repeat_is_a_second_entry(log: History) -> None:
    """Clients drop it by its id."""
    append(log, "a")
    for number in range(KEPT_IDS):
        append(log, f"other-{number}")

    append(log, "a")

    found = entries(log)
    assert [each.id for each in found].count("a") == 2
    assert is_chain(found)


# Lost answers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lost", [1, 3, 5])
@pytest.mark.parametrize("is_sent", [True, False])
def test_an_append_whose_answer_is_lost_is_recorded_once(
    log: History, method: str, lost: int, *, is_sent: bool
) -> None:
    """Whether it was carried out or not: the head tells."""
    append(log, "before")
    counts = {method: lost}
    subject = losing(log, counts) if is_sent else losing(log, unsent=counts)

    place = append(subject, "a")

    found = entries(log)
    assert [each.id for each in found] == ["before", "a"]
    assert found[-1].place == place
    assert is_chain(found)


def test_attempts_of_one_transaction_carry_the_same_token(
    log: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB takes them for one; another round is another transaction."""
    tokens: list[str] = []
    write = log.client.transact_write_items

    def watched(**arguments: Any) -> Any:
        tokens.append(arguments["ClientRequestToken"])
        return write(**arguments)

    monkeypatch.setattr(log.client, "transact_write_items", watched)

    append(losing(log, {"transact_write_items": 2}), "a")
    append(log, "b")

    assert len(tokens) >= 4
    assert len(set(tokens[:2])) == 1
    assert len(set(tokens)) >= 2


@pytest.mark.parametrize("method", METHODS)
def test_an_append_gives_up_when_dynamodb_never_answers(log: History, method: str) -> None:
    """Soon: the notification is posted all the same, and recorded by a retry."""
    subject = losing(log, unsent={method: 1_000})

    with pytest.raises(HistoryError) as caught:
        append(subject, "a")

    assert caught.value.is_lost
    assert entries(log) == []


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetItem", "AccessDeniedException"),
        ("TransactWriteItems", "AccessDeniedException"),
        ("TransactWriteItems", "ValidationException"),
        ("GetItem", "ResourceNotFoundException"),
    ],
)
def test_an_error_that_stays_is_raised_at_once(
    log: History, wire: Wire, operation: str, code: str
) -> None:
    del log
    subject = open_history(HISTORY, NO_DEADLINE)
    wire.errors[operation] = (400, code)

    with pytest.raises(HistoryError) as caught:
        append(subject, "a")

    assert caught.value.code == code
    assert wire.calls.count(operation) == 1


def test_an_append_without_time_sends_nothing(log: History, wire: Wire) -> None:
    del log
    subject = open_history(HISTORY, Deadline(time.monotonic() + 1.9))

    with pytest.raises(HistoryError) as caught:
        append(subject, "a")

    assert caught.value.code == "NotStarted"
    assert wire.tries == []


def test_a_throttled_append_goes_on_until_its_deadline(
    log: History, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst throttles its own partition; that passes."""
    del log
    slept = itertools.count(1)
    limit = 20

    def sleep(_: float) -> None:
        if next(slept) == limit:
            wire.errors.clear()

    monkeypatch.setattr(time, "sleep", sleep)
    wire.errors["TransactWriteItems"] = (400, "ThrottlingException")

    append(open_history(HISTORY, NO_DEADLINE), "a")

    assert wire.tries.count("TransactWriteItems") > 3 * history.LOST_ROUNDS


# Side by side


def test_of_two_writers_at_one_head_one_goes_round(
    log: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number that both wanted is given once."""
    append(log, "before")
    write = log.client.transact_write_items
    others = iter(["b", "c", "d"])

    def overtaken(**arguments: Any) -> Any:
        other = next(others, None)
        if other:
            monkeypatch.setattr(log.client, "transact_write_items", write)
            append(log, other)
            monkeypatch.setattr(log.client, "transact_write_items", overtaken)
        return write(**arguments)

    monkeypatch.setattr(log.client, "transact_write_items", overtaken)

    append(log, "a")

    found = entries(log)
    assert [each.id for each in found] == ["before", "b", "c", "d", "a"]
    assert is_chain(found)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDBClient]:
    """Run an embedded DynamoDB, whose one loop carries out a transaction at a time."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    with subprocess.Popen(
        [sys.executable, "-m", "localgateway.aws.engine"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        config = Config(read_timeout=60, max_pool_connections=AT_ONCE)
        client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", config=config)
        create_tables(client)
        yield client
        process.stdin.close()


def side_by_side(work: Callable[[str], Any], ids: list[str]) -> None:
    """Do the work for all ids, as many at once as the embedded DynamoDB takes in good time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, ids))


@pytest.mark.parametrize(
    "count", [30, pytest.param(500, marks=pytest.mark.proof, id="500 publications")]
)
def test_publications_at_once_are_all_recorded_in_one_chain(
    engine: DynamoDBClient, count: int
) -> None:
    """Each of them once."""
    log = History(engine, HISTORY, NO_DEADLINE)
    ids = [f"id-{number}" for number in range(count)]

    side_by_side(lambda notification_id: append(log, notification_id), ids)

    found = entries(log)
    assert sorted(each.id for each in found) == sorted(ids)
    assert is_chain(found)


# Reading


def test_a_batch_ends_at_its_limit_and_says_how_far_it_reached(log: History) -> None:
    places = [append(log, f"id-{number}") for number in range(5)]

    first = log.read(ALL, places[0].seq, places[4].seq, 2, now_ms())
    rest = log.read(ALL, first.reached, places[4].seq, 10, now_ms())

    assert [each.place for each in (*first.entries, *rest.entries)] == places[1:]
    assert (first.reached, rest.reached) == (places[2].seq, places[4].seq)


def test_an_expired_entry_is_left_out(log: History) -> None:
    """DynamoDB deletes it within days."""
    place = append(log, "a")
    later = now_ms() + 2 * HOUR * 1000

    batch = log.read(ALL, 0, place.seq, 10, later)

    assert (batch.entries, batch.reached) == ((), place.seq)
    assert log.recorded_at(ALL, place.seq, now_ms()) == place.at
    assert log.recorded_at(ALL, place.seq, later) is None
    assert log.recorded_at(ALL, place.seq + 1, now_ms()) is None


def test_a_head_does_not_expire(log: History) -> None:
    """A reader always knows how far the stream has come."""
    append(log, "a")

    items = log.client.scan(TableName=HISTORY)["Items"]

    [head] = [item for item in items if item["seq"]["N"] == "0"]
    assert "ttl" not in head
