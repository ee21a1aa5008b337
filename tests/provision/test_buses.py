from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from provision.buses import ensure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_events import EventBridgeClient

pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
def client(caplog: pytest.LogCaptureFixture) -> EventBridgeClient:
    """Return a client of an EventBridge that has the default bus only."""
    caplog.set_level("INFO", "provision")
    return boto3.client("events")


def names(client: EventBridgeClient) -> list[str]:
    """List the buses."""
    return [bus["Name"] for bus in client.list_event_buses()["EventBuses"]]


def test_a_missing_bus_is_created_and_an_existing_one_kept(
    client: EventBridgeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which of the two it was."""
    ensure(client, "Rows")
    ensure(client, "Rows")

    assert names(client) == ["default", "Rows"]
    assert caplog.messages == ["created event bus Rows", "event bus Rows already exists"]


def test_two_runs_at_once_both_succeed(
    client: EventBridgeClient, caplog: pytest.LogCaptureFixture, interleave: Callable[..., None]
) -> None:
    """The slower run finds the bus that the faster one has just created."""
    interleave(client, "CreateEventBus", lambda: ensure(client, "Rows"))

    ensure(client, "Rows")

    assert names(client) == ["default", "Rows"]
    assert caplog.messages == [
        "created event bus Rows",
        "another process created event bus Rows",
    ]


@pytest.mark.parametrize("operation", ["DescribeEventBus", "CreateEventBus"])
def test_any_other_error_stops_the_run(
    client: EventBridgeClient, operation: str, fail: Callable[..., None]
) -> None:
    """Only "not found" means that the bus is missing."""
    fail(client, operation, "AccessDeniedException")

    with pytest.raises(ClientError, match="AccessDeniedException"):
        ensure(client, "Rows")
    assert names(client) == ["default"]
