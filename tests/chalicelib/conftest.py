from collections.abc import Callable, Iterator

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.connection import Connection
from chalicelib.store import ConnectionStore
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE
from tests.support.connections_api import ConnectionsApi, connections_api

Put = Callable[..., list[Connection]]


@pytest.fixture
def api() -> Iterator[ConnectionsApi]:
    """Serve a `@connections` API that answers 200 until a test tells it otherwise."""
    with connections_api() as api:
        yield api


@pytest.fixture
def connections(dynamodb: DynamoDBClient) -> ConnectionStore:
    """Return a store of an empty table."""
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)


@pytest.fixture
def put(connections: ConnectionStore) -> Put:
    """Return a function that writes connections and returns them."""

    def put(*wanted: Connection) -> list[Connection]:
        for each in wanted:
            connections.put(each)
        return list(wanted)

    return put
