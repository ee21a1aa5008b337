"""Create an EventBridge event bus."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_log = logging.getLogger(__name__)


def ensure(client: EventBridgeClient, name: str) -> None:
    """Create the event bus unless it exists."""
    try:
        client.describe_event_bus(Name=name)
    except client.exceptions.ResourceNotFoundException:
        _create(client, name)
    else:
        _log.info("event bus %s already exists", name)


def _create(client: EventBridgeClient, name: str) -> None:
    try:
        client.create_event_bus(Name=name)
    except client.exceptions.ResourceAlreadyExistsException:
        _log.info("another process created event bus %s", name)
    else:
        _log.info("created event bus %s", name)
