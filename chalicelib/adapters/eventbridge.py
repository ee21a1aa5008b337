"""Publishes events on an EventBridge bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import ATTEMPTS, CallError, call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from chalicelib.clock import Deadline

SOURCE = "incident-websocket"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_A_CALL = 10
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
BYTES_A_CALL = 256 * 1024


def put_events(
    bus: str, detail_type: str, details: Sequence[Mapping[str, Any]], deadline: Deadline
) -> list[str]:
    """Put one event for each of `details` on `bus`, and return an error for each that failed.

    Costs one PutEvents call for ten events, or for 256 KB of them. After a call without an answer
    the rest fails, too: the endpoint is down, and further calls would only take time. An event
    whose answer was lost may be on the bus twice.
    """
    entries: list[PutEventsRequestEntryTypeDef] = [
        {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": _text(detail),
        }
        for detail in details
    ]
    errors: list[str] = []
    done = 0
    try:
        client = cast("EventBridgeClient", aws_clients.client("events"))
    except BotoCoreError as error:  # for example, no region is configured
        return [str(error)] * len(entries)
    for batch in _batches(entries):
        try:
            errors += _put(client, batch, deadline)
        except CallError as error:
            if not error.answered:
                return errors + [str(error)] * (len(entries) - done)
            errors += [str(error)] * len(batch)
        done += len(batch)
    return errors


def _text(detail: Mapping[str, Any]) -> str:
    """Return a detail as JSON, not ASCII-escaped, because EventBridge limits its size."""
    text = json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()  # JSON can hold half of a surrogate pair


def _batches(
    entries: Sequence[PutEventsRequestEntryTypeDef],
) -> Iterator[list[PutEventsRequestEntryTypeDef]]:
    """Yield the entries of each call, by EventBridge's two limits."""
    batch: list[PutEventsRequestEntryTypeDef] = []
    room = BYTES_A_CALL
    for entry in entries:
        size = sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))
        if batch and (len(batch) == ENTRIES_A_CALL or size > room):
            yield batch
            batch, room = [], BYTES_A_CALL
        batch.append(entry)
        room -= size
    if batch:
        yield batch


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
