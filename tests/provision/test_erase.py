"""`python -m provision.erase`, against an in-process DynamoDB; `close` answers as given."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner

from chalicelib.domain.history import own_stream
from provision import tables
from provision.erase import OWN, PAUSES_S, history_table, main
from provision.template import load_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.usefixtures("account")

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
REGION = "eu-central-1"
CLOSED = {"connections": {"c1=": "closed", "c2=": "already gone"}}


class Lambda:
    """Answers each invocation of `close` with the same answer, and keeps the requests."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.requests: list[tuple[str, Any]] = []

    def invoke(self, **call: Any) -> dict[str, Any]:
        """Answer as boto3 does."""
        self.requests.append((call["FunctionName"], json.loads(call["Payload"])))
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())}


@pytest.fixture
def dynamodb() -> Any:
    """Create the stage's tables and return the client."""
    client = boto3.client("dynamodb", REGION)
    for table in load_tables(RESOURCES, {"Stage": "dev"}):
        tables.ensure(client, table)
    return client


def fill(dynamodb: Any, stream: str, *numbers: int) -> None:
    """Put items with these numbers into a stream."""
    for number in numbers:
        dynamodb.put_item(
            TableName="IncidentWebSocketHistory-dev",
            Item={"stream": {"S": stream}, "seq": {"N": str(number)}, "x": {"S": "x" * 2000}},
        )


def left(dynamodb: Any) -> set[str]:
    """Return the streams that have items."""
    items = dynamodb.scan(TableName="IncidentWebSocketHistory-dev")["Items"]
    return {item["stream"]["S"] for item in items}


def run(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any, lambda_: Lambda, client_id: str = "ada"
) -> tuple[int, str]:
    """Run the command; return its status and its output."""
    clients = {"dynamodb": dynamodb, "lambda": lambda_}
    monkeypatch.setattr("provision.erase.client", lambda service, _region: clients[service])
    arguments = ["--stage", "dev", "--client", client_id, "--resources", str(RESOURCES)]
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_it_knows_the_names_of_the_application() -> None:
    assert own_stream("ada") == OWN + "ada"
    assert history_table(RESOURCES, "prod") == "IncidentWebSocketHistory-prod"


def test_the_client_is_closed_and_all_of_its_stream_goes(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    """Head, entries and claims, also more than one batch; nothing of another client."""
    fill(dynamodb, "c#ada", 0, *range(1, 40), *range(-39, 0))
    fill(dynamodb, "c#adam", 0, 1)
    fill(dynamodb, "all", 0, 1)
    lambda_ = Lambda(CLOSED)

    status, output = run(monkeypatch, dynamodb, lambda_)

    assert (status, left(dynamodb)) == (0, {"c#adam", "all"})
    assert lambda_.requests == [
        ("incident-websocket-dev-close", {"clientId": "ada", "reason": "erased"})
    ]
    assert "2 connections closed" in output
    assert "79 items deleted from IncidentWebSocketHistory-dev" in output


def test_a_connection_that_stays_open_is_named_and_the_stream_goes_all_the_same(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    fill(dynamodb, "c#ada", 0, 1)
    answer = {"connections": {"c1=": "closed", "c2=": "failed", "c3=": "not open yet"}}

    status, output = run(monkeypatch, dynamodb, Lambda(answer))

    assert (status, left(dynamodb)) == (1, set())
    assert "1 connections closed" in output
    assert "not closed, try again: c2=, c3=" in output


def test_an_error_of_close_stops_before_anything_is_deleted(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    fill(dynamodb, "c#ada", 0, 1)
    answer = {"error": {"code": "store", "message": "Query failed"}}

    status, output = run(monkeypatch, dynamodb, Lambda(answer))

    assert (status, left(dynamodb)) == (1, {"c#ada"})
    assert 'incident-websocket-dev-close answered {"error"' in output


def test_an_interrupted_erasure_is_completed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any, fail: Callable[..., None]
) -> None:
    fill(dynamodb, "c#ada", *range(60))
    fail(dynamodb, "BatchWriteItem", "ThrottlingException", once=True)

    first, _ = run(monkeypatch, dynamodb, Lambda(CLOSED))
    second, _ = run(monkeypatch, dynamodb, Lambda({"connections": {}}))

    assert (first, second, left(dynamodb)) == (1, 0, set())


def test_what_dynamodb_leaves_over_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    fill(dynamodb, "c#ada", 0, 1, 2)
    real = dynamodb.batch_write_item
    asked = []

    def one_at_a_time(RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        [(table, [first, *others])] = RequestItems.items()
        asked.append(len(others) + 1)
        real(RequestItems={table: [first]})
        return {"UnprocessedItems": {table: others} if others else {}}

    slept: list[float] = []
    monkeypatch.setattr("provision.erase.time.sleep", slept.append)
    monkeypatch.setattr(dynamodb, "batch_write_item", one_at_a_time)

    run(monkeypatch, dynamodb, Lambda(CLOSED))

    assert (asked, left(dynamodb)) == ([3, 2, 1], set())
    assert slept == list(PAUSES_S[:2])


def test_a_throttled_table_is_given_up_after_growing_pauses_and_what_is_left_is_told(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    """The first batch is deleted; of the second, which has five items, nothing is."""
    fill(dynamodb, "c#ada", *range(30))
    real, tries = dynamodb.batch_write_item, []

    def only_the_first(RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        tries.append(RequestItems)
        assert len(tries) < 100, "goes on for ever"
        return (
            real(RequestItems=RequestItems)
            if len(tries) == 1
            else {"UnprocessedItems": RequestItems}
        )

    slept: list[float] = []
    monkeypatch.setattr("provision.erase.time.sleep", slept.append)
    monkeypatch.setattr(dynamodb, "batch_write_item", only_the_first)

    status, output = run(monkeypatch, dynamodb, Lambda(CLOSED))

    assert (status, left(dynamodb)) == (1, {"c#ada"})
    assert "5 of 30 items are left in IncidentWebSocketHistory-dev" in output
    assert slept == sorted(PAUSES_S)
    assert len(tries) == 2 + len(slept)


def test_an_empty_client_id_is_refused_before_any_call(
    monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    lambda_ = Lambda(CLOSED)

    status, output = run(monkeypatch, dynamodb, lambda_, "")

    assert (status, lambda_.requests) == (2, [])
    assert "--client: is empty; expected a clientId" in output
