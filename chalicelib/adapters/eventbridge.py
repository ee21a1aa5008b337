"""Publishes events on an EventBridge bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import ATTEMPTS, CallError, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from chalicelib.clock import Deadline

SOURCE = "incident-websocket"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_A_CALL = 10


def put_events(
    bus: str, detail_type: str, details: Sequence[Mapping[str, Any]], deadline: Deadline
) -> list[str]:
    """Put one event for each of `details` on `bus`, and return an error for each that failed.

    Costs one PutEvents call for ten events. After a call without an answer the rest fails, too:
    the endpoint is down, and further calls would only take time. An event whose answer was lost
    may be on the bus twice.
    """
    entries: list[PutEventsRequestEntryTypeDef] = [
        {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }
        for detail in details
    ]
    errors: list[str] = []
    try:
        client = cast("EventBridgeClient", aws_clients.client("events"))
    except BotoCoreError as error:  # for example, no region is configured
        return [str(error)] * len(entries)
    for start in range(0, len(entries), ENTRIES_A_CALL):
        batch = entries[start : start + ENTRIES_A_CALL]
        try:
            errors += _put(client, batch, deadline)
        except CallError as error:
            if not error.answered:
                return errors + [str(error)] * (len(entries) - start)
            errors += [str(error)] * len(batch)
    return errors


def _put(
    client: EventBridgeClient, batch: list[PutEventsRequestEntryTypeDef], deadline: Deadline
) -> list[str]:
    """Put a batch, then again those of its events that EventBridge did not take."""
    failures: list[tuple[PutEventsRequestEntryTypeDef, Any]] = []
    for _ in range(ATTEMPTS):
        results: Any = call(client.put_events, deadline, Entries=batch).body.get("Entries", ())
        failures = [
            (entry, result)
            for entry, result in zip(batch, results, strict=False)
            if "ErrorCode" in result
        ]
        if not failures:
            break
        batch = [entry for entry, _ in failures]
    return [f"{result['ErrorCode']}: {result.get('ErrorMessage')}" for _, result in failures]
