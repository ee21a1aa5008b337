"""The adapter of the connections table, on an in-process DynamoDB."""

from typing import Any

import botocore.loaders
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib import store
from chalicelib.connection import Connection
from chalicelib.errors import MalformedRowError, StoreError
from chalicelib.store import ConnectionStore, from_item, open_store, to_item
from tests.conftest import TABLE

CONNECTION = Connection("L0SM9cOFvHcCIhw=", created_at=1731324924561, ttl=1731411324)


@pytest.fixture
def connections(dynamodb: DynamoDBClient) -> ConnectionStore:
    """Give a store of an empty table."""
    return ConnectionStore(dynamodb, TABLE)


def test_a_row_that_was_put_is_read(connections: ConnectionStore) -> None:
    """What was written comes back as it was."""
    connections.put(CONNECTION)

    assert connections.get(CONNECTION.connection_id) == CONNECTION


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


@pytest.mark.parametrize("operation", ["put", "get", "delete"])
def test_every_operation_tells_what_failed(dynamodb: DynamoDBClient, operation: str) -> None:
    """The error has the operation, the table and the cause."""
    nowhere = ConnectionStore(dynamodb, "Nowhere")
    argument: Any = CONNECTION if operation == "put" else CONNECTION.connection_id

    with pytest.raises(StoreError) as caught:
        getattr(nowhere, operation)(argument)

    assert caught.value.table == "Nowhere"
    assert caught.value.operation.lower().startswith(operation)
    assert "ResourceNotFoundException" in caught.value.cause


@given(st.text(min_size=1), st.integers(0, 10**15), st.integers(0, 10**12), st.text(min_size=1))
def test_items_and_connections_are_the_same_thing(
    connection_id: str, created_at: int, ttl: int, client_id: str
) -> None:
    """Encoding and decoding lose nothing."""
    connection = Connection(connection_id, created_at, ttl, client_id)

    assert from_item(to_item(connection)) == connection


def test_attributes_that_are_not_known_are_left_out() -> None:
    """A newer version of the application may have written the row."""
    item = to_item(CONNECTION) | {"colour": {"S": "blue"}}

    assert from_item(item) == CONNECTION


@pytest.mark.parametrize("attribute", ["connectionId", "createdAt", "ttl"])
@pytest.mark.parametrize("value", [None, {"S": "x"}, {"N": "1.5"}, {"BOOL": True}])
def test_a_malformed_row_is_named(attribute: str, value: Any) -> None:
    """A row that something else wrote never passes for a connection."""
    item: dict[str, Any] = to_item(CONNECTION)
    del item[attribute]
    if value is not None:
        item[attribute] = value
    if (attribute, value) == ("connectionId", {"S": "x"}):
        assert from_item(item).connection_id == "x"
        return

    with pytest.raises(MalformedRowError) as caught:
        from_item(item)

    assert caught.value.attribute == attribute


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


def test_the_loader_finds_the_same_model_without_listing_all_services() -> None:
    """The short cut leaves out the listing of botocore's data folder and nothing else."""
    usual = botocore.loaders.Loader().load_service_model("dynamodb", "service-2")

    assert store.OneService().load_service_model("dynamodb", "service-2") == usual


def test_a_dead_endpoint_is_given_up_on_in_time() -> None:
    """The tries of one call, at their longest, stay under the 5 s that a handshake may take."""
    config: Any = store.CLIENT_CONFIG
    tries = config.retries["total_max_attempts"]
    longest_pauses_s = sum(0.05 * 2**number for number in range(tries - 1))

    assert tries * max(config.connect_timeout, config.read_timeout) + longest_pauses_s < 5
