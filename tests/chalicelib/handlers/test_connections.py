"""The function `connections`: who is connected."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.connection import Connection
from chalicelib.domain.rows import to_item
from chalicelib.handlers import connections as directory
from tests.conftest import TABLE, UNSET
from tests.support.embedded_metrics import assert_counts

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]
MINUTE_MS = 60_000


@pytest.fixture
def tracked(dynamodb: DynamoDBClient) -> Callable[..., Connection]:
    """Return a function that writes the row of a connection of an age in minutes."""

    def put(name: str, age_min: float = 0, client_id: str = "alice", **changed: Any) -> Connection:
        created_at = time.time_ns() // 1_000_000 - round(age_min * MINUTE_MS)
        usual = Connection(name, created_at, created_at // 1000 + 86_400, client_id)
        connection = replace(usual, **changed)
        dynamodb.put_item(TableName=TABLE, Item=to_item(connection))
        return connection

    return put


def test_one_connection_is_looked_up(invoke: Invoke, tracked: Callable[..., Connection]) -> None:
    """By its id; the answer has no row when it cannot be alive."""
    alive = tracked("alive=", 1, source_ip="203.0.113.7", api_id="abcdef1234")
    tracked("old=", 180)

    assert invoke("connections", {"connectionId": "alive="}) == {"connections": [alive.row()]}
    assert invoke("connections", {"connectionId": "old="}) == {"connections": []}
    assert invoke("connections", {"connectionId": "nobody="}) == {"connections": []}


def test_the_connections_of_a_client_are_looked_up(
    invoke: Invoke, tracked: Callable[..., Connection]
) -> None:
    """Newest first, and none that cannot be alive."""
    older, newer = tracked("a=", 20), tracked("b=", 10)
    tracked("old=", 180)
    tracked("expired=", 1, ttl=int(time.time()))
    tracked("bob's=", 1, "bob")

    answer = invoke("connections", {"clientId": "alice"})

    assert answer == {"connections": [newer.row(), older.row()]}
    assert invoke("connections", {"clientId": "nobody"}) == {"connections": []}


def test_connections_are_counted(invoke: Invoke, tracked: Callable[..., Connection]) -> None:
    """Those that are live, by client known or unknown, and by age."""
    for name, age_min, client_id in (
        ("a=", 0, "alice"),
        ("b=", 0.5, "unknown"),
        ("c=", 1.5, "bob"),
        ("d=", 9.5, "unknown"),
        ("e=", 10.5, "unknown"),
        ("f=", 61, "alice"),
        ("g=", 124, "alice"),
        ("dead=", 126, "alice"),
        ("dead2=", 3000, "unknown"),
    ):
        tracked(name, age_min, client_id)

    assert invoke("connections", {}) == {
        "live": 7,
        "byClient": {"known": 4, "unknown": 3},
        "byAge": {"under1min": 2, "under10min": 2, "under60min": 1, "under125min": 2},
    }


@pytest.mark.usefixtures("dynamodb")
def test_an_empty_table_has_all_counts(invoke: Invoke) -> None:
    """Readers need no case for a missing one."""
    assert invoke("connections", {}) == {
        "live": 0,
        "byClient": {"known": 0, "unknown": 0},
        "byAge": {"under1min": 0, "under10min": 0, "under60min": 0, "under125min": 0},
    }


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    "question",
    [
        [],
        "alice",
        7,
        {"client": "alice"},
        {"clientId": ""},
        {"clientId": None},
        {"clientId": 7},
        {"clientId": ["alice"]},
        {"clientId": "\ud800"},
        {"\ud800": "alice"},
        {"connectionId": ""},
        {"connectionId": {}},
        {"clientId": "alice", "connectionId": "a="},
    ],
)
def test_a_question_that_is_none_is_told_what_is_accepted(invoke: Invoke, question: Any) -> None:
    """With the value seen; nothing is raised, and the answer is JSON."""
    answer = invoke("connections", question)

    assert set(answer) == {"error"}
    assert answer["error"]["code"] == "invalid_request"
    message = answer["error"]["message"]
    assert repr(question) in message
    accepted = '{"clientId": "…"}, {"connectionId": "…"}, {"clientIds": ["…"]} or {}'
    assert f"expected {accepted}" in message
    json.dumps(answer, ensure_ascii=False).encode()


def test_no_question_at_all_is_told_what_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON's null, which Lambda hands on and Chalice's test client does not."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)

    answer: Any = directory.connections(None, None)

    assert answer["error"]["message"].startswith("invalid request None; expected")


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize("question", [{}, {"clientId": "alice"}, {"connectionId": "a="}])
@pytest.mark.parametrize(
    ("table", "code", "cause"),
    [
        ("Nowhere", "store", "ResourceNotFoundException"),
        (UNSET, "settings", "CONNECTIONS_TABLE is not set"),
    ],
)
def test_a_failure_is_answered_and_logged(
    invoke: Invoke, logged: Logged, question: dict[str, str], table: str, code: str, cause: str
) -> None:
    """The caller and the log see the cause."""
    answer = invoke("connections", question, CONNECTIONS_TABLE=table)

    assert answer["error"]["code"] == code
    assert cause in answer["error"]["message"]
    [line] = logged()
    assert (line["level"], line["function"]) == ("ERROR", "connections")
    assert line["error"] == answer["error"]["message"]
    assert assert_counts(line) == {"Failures": (1, "Count")}


def test_a_malformed_row_is_an_error_of_its_own_question_only(
    dynamodb: DynamoDBClient, invoke: Invoke, tracked: Callable[..., Connection]
) -> None:
    """The counts leave it out."""
    tracked("a=")
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": "bare="}})

    error = invoke("connections", {"connectionId": "bare="})["error"]

    assert error["code"] == "malformed_row"
    assert "'createdAt' is missing" in error["message"]
    assert invoke("connections", {})["live"] == 1
