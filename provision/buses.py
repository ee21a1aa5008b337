"""Makes an EventBridge event bus."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_log = logging.getLogger(__name__)


def ensure(client: EventBridgeClient, name: str) -> None:
    """Create the event bus if it is missing; called again it changes nothing."""
    try:
        client.describe_event_bus(Name=name)
    except client.exceptions.ResourceNotFoundException:
        _create(client, name)
    else:
        _log.info("event bus %s is there", name)


def _create(client: EventBridgeClient, name: str) -> None:
    try:
        client.create_event_bus(Name=name)
    except client.exceptions.ResourceAlreadyExistsException:
        _log.info("event bus %s was created by someone else", name)
    else:
        _log.info("created event bus %s", name)
