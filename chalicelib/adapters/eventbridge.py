"""Publishes events on an EventBridge bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters import aws_clients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "incident-websocket"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_A_CALL = 10


def put_events(bus: str, detail_type: str, details: Sequence[Mapping[str, Any]]) -> list[str]:
    """Put one event for each of `details` on `bus`, and return an error for each that failed.

    Costs one PutEvents call for ten events.
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
    for start in range(0, len(entries), ENTRIES_A_CALL):
        try:
            errors += _put(entries[start : start + ENTRIES_A_CALL])
        except BotoCoreError as error:  # the endpoint is down; further calls only take time
            errors += [str(error)] * (len(entries) - start)
            break
    return errors


def _put(entries: list[PutEventsRequestEntryTypeDef]) -> list[str]:
    client = cast("EventBridgeClient", aws_clients.client("events"))
    try:
        answer: Any = client.put_events(Entries=entries)
    except ClientError as error:
        return [str(error)] * len(entries)
    return [
        f"{entry['ErrorCode']}: {entry.get('ErrorMessage')}"
        for entry in answer["Entries"]
        if "ErrorCode" in entry
    ]
