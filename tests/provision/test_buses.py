"""Event buses, in an in-process EventBridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from provision.buses import ensure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_events import EventBridgeClient


@pytest.fixture
def client() -> Iterator[EventBridgeClient]:
    """Give a client of an EventBridge that has the default bus only."""
    with mock_aws():
        yield boto3.client("events")


def names(client: EventBridgeClient) -> list[str]:
    """List the buses."""
    return [bus["Name"] for bus in client.list_event_buses()["EventBuses"]]


def test_a_missing_bus_is_created_once(
    client: EventBridgeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The second run finds the bus and says so."""
    caplog.set_level("INFO", "provision")
    ensure(client, "Rows")
    ensure(client, "Rows")
    assert names(client) == ["default", "Rows"]
    assert caplog.messages == ["created event bus Rows", "event bus Rows is there"]


def test_a_bus_that_someone_else_creates_meanwhile_is_taken(
    client: EventBridgeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Two runs at once both succeed."""

    # GIVEN
    def create_first(**_: Any) -> None:
        client.meta.events.unregister("before-call.events.CreateEventBus", create_first)
        ensure(client, "Rows")

    client.meta.events.register("before-call.events.CreateEventBus", create_first)
    caplog.set_level("INFO", "provision")

    # WHEN
    ensure(client, "Rows")

    # THEN
    assert names(client) == ["default", "Rows"]
    assert caplog.messages == [
        "created event bus Rows",
        "event bus Rows was created by someone else",
    ]


def test_any_other_failure_is_not_hidden(client: EventBridgeClient) -> None:
    """A denied call stops the run."""

    # GIVEN
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeEventBus")

    client.meta.events.register("before-call.events.DescribeEventBus", refuse)

    # THEN
    with pytest.raises(ClientError, match="AccessDeniedException"):
        ensure(client, "Rows")
    assert names(client) == ["default"]
