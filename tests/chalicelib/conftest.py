from collections.abc import Iterator

import pytest

from tests.support.connections_api import Answer as Answer
from tests.support.connections_api import ConnectionsApi as ConnectionsApi
from tests.support.connections_api import connections_api


@pytest.fixture
def api() -> Iterator[ConnectionsApi]:
    """Serve a `@connections` API that answers 200 until a test tells it otherwise."""
    with connections_api() as api:
        yield api
