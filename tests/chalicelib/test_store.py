"""The connections table in moto's DynamoDB."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.adapters import table
from chalicelib.domain.connection import Connection, Intent
from chalicelib.domain.errors import StoreError
from chalicelib.store import ConnectionStore, Removed
from tests.chalicelib.conftest import Put
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE
from tests.support.stored import NOW_MS, NOW_S, ONE, requests


@pytest.mark.parametrize("written", [ONE, Connection("bare=", NOW_MS, NOW_S + 60)])
def test_a_row_is_read_as_it_was_written(connections: ConnectionStore, written: Connection) -> None:
    connections.put(written)

    assert connections.get(written.connection_id) == written


def test_a_missing_row_is_none(connections: ConnectionStore) -> None:
    assert connections.get("nobody=") is None
    assert connections.delete("nobody=") is None


def test_delete_returns_the_removed_row(connections: ConnectionStore, put: Put) -> None:
    put(ONE)

    assert connections.delete("one=") == Removed(ONE)
    assert connections.get("one=") is None


def test_put_takes_over_the_row_of_another_delivery(connections: ConnectionStore, put: Put) -> None:
    _, newer = put(ONE, replace(ONE, created_at=ONE.created_at + 1))

    assert connections.get("one=") == newer


CALLS: dict[str, Callable[[ConnectionStore], object]] = {
    "PutItem": lambda rows: rows.put(ONE),
    "GetItem": lambda rows: rows.get("id="),
    "DeleteItem": lambda rows: rows.delete("id="),
    "UpdateItem": lambda rows: rows.mark_closing(ONE, Intent("kicked", 7)),
    "Query": lambda rows: list(rows.of_client("alice", NOW_MS)),
    "Scan": lambda rows: list(rows.live(NOW_MS)),
}


@pytest.mark.parametrize("operation", CALLS)
def test_an_error_of_dynamodb_names_operation_table_and_code(
    dynamodb: DynamoDBClient, operation: str
) -> None:
    with pytest.raises(StoreError) as caught:
        CALLS[operation](ConnectionStore(dynamodb, "Nowhere", NO_DEADLINE))

    error = caught.value
    assert (error.operation, error.table) == (operation, "Nowhere")
    assert error.code == "ResourceNotFoundException"
    assert "ResourceNotFoundException" in error.cause


@pytest.mark.parametrize("operation", CALLS)
def test_a_call_without_an_answer_names_operation_table_and_botocores_error(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")

    with pytest.raises(StoreError) as caught:
        CALLS[operation](ConnectionStore.open(TABLE, NO_DEADLINE))

    error = caught.value
    assert (error.operation, error.table) == (operation, TABLE)
    assert error.code == "EndpointConnectionError"


def test_a_store_that_could_not_be_opened_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StoreError) as caught:
        ConnectionStore.open(TABLE, NO_DEADLINE)
    assert str(caught.value) == (
        f"CreateClient on table '{TABLE}' failed: NoRegionError: You must specify a region."
    )

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    ConnectionStore.open(TABLE, NO_DEADLINE)


def test_the_client_is_created_once() -> None:
    assert table.dynamodb() is table.dynamodb()


def test_no_expression_contains_a_reserved_word(
    dynamodb: DynamoDBClient, connections: ConnectionStore
) -> None:
    """DynamoDB refuses them; moto does so in some expressions only."""
    made = requests(dynamodb)
    connections.put(ONE)
    list(connections.of_client("alice", NOW_MS))
    list(connections.live(NOW_MS, (0, 2), addresses_only=True))
    list(connections.pages(None))
    connections.mark_closing(ONE, Intent("kicked", 7))
    connections.remove(ONE)

    reserved = {word.upper() for word in ReservedKeywords.get_reserved_keywords()}
    texts = [v for params in made for name, v in params.items() if name.endswith("Expression")]
    words = {word for text in texts for word in re.findall(r"(?<![#:\w])\w+", text)} - {
        "AND",
        "SET",
        "REMOVE",
    }
    assert {"createdAt", "connectionId", "closing", "stage"} <= words
    assert "REGION" in reserved
    assert {word for word in words if word.upper() in reserved} == set()


def test_a_closing_cause_is_written_to_the_row_of_that_connection_only(
    connections: ConnectionStore, put: Put
) -> None:
    put(ONE)
    connections.mark_closing(ONE, Intent("kicked", 7, "left", reconnect=True))
    marked = replace(ONE, closing="kicked", closing_at=7)
    assert connections.get("one=") == replace(marked, close_reason="left", close_reconnect=True)
    connections.mark_closing(ONE, Intent("kicked", 7))
    assert connections.get("one=") == marked

    [newer] = put(replace(ONE, created_at=ONE.created_at + 1))
    connections.mark_closing(ONE, Intent("replaced", 8))
    assert connections.get("one=") == replace(newer, closing="kicked", closing_at=7)

    connections.delete("one=")
    connections.mark_closing(ONE, Intent("kicked", 7))
    assert connections.get("one=") is None


def test_a_judged_row_is_returned_to_the_one_caller_that_removed_it(
    connections: ConnectionStore, put: Put
) -> None:
    put(ONE)

    assert connections.remove(ONE) == ONE
    assert connections.remove(ONE) is None


def test_a_row_is_not_removed_if_it_was_replaced_since_it_was_judged(
    connections: ConnectionStore, put: Put
) -> None:
    """A closing cause that was written meanwhile does not count as a change."""
    [newer] = put(replace(ONE, created_at=ONE.created_at + 1))
    assert connections.remove(ONE) is None
    assert connections.get("one=") == newer

    connections.mark_closing(newer, Intent("kicked", 7))
    assert connections.remove(newer) == replace(newer, closing="kicked", closing_at=7)
