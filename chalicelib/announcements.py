"""Announces ended connections on EventBridge: the only module that talks to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import metrics, sdk
from chalicelib.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from chalicelib.causes import Ending
    from chalicelib.logs import Log
    from chalicelib.settings import Settings

SOURCE = "incident-websocket"
DETAIL_TYPE = "Connection Closed"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
ENTRIES_A_CALL = 10


def announce(endings: Iterable[Ending], config: Settings, log: Log) -> None:
    """Put one event for each ending on the bus, when there is one.

    Costs one PutEvents for ten endings. A failure is logged and counted, and raises nothing: a
    row that is gone is gone, whoever heard of it.
    """
    if not config.event_bus:
        return
    entries = [_entry(ending, config.event_bus) for ending in endings]
    failures: list[str] = []
    for start in range(0, len(entries), ENTRIES_A_CALL):
        try:
            failures += _put(entries[start : start + ENTRIES_A_CALL])
        except BotoCoreError as error:  # nobody answers: the next calls would only take time
            failures += [str(error)] * (len(entries) - start)
            break
    if failures:
        values: dict[Metric, float] = {Metric.ANNOUNCEMENT_FAILURES: len(failures)}
        log.error("not announced", failures=failures, **metrics.fields(config.stage, values))


def _entry(ending: Ending, bus: str) -> PutEventsRequestEntryTypeDef:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": json.dumps(ending.detail()),
    }


def _put(entries: list[PutEventsRequestEntryTypeDef]) -> list[str]:
    """Put the events and tell the failures, one for each event that is not on the bus."""
    try:
        answer: Any = cast("EventBridgeClient", sdk.client("events")).put_events(Entries=entries)
    except ClientError as error:
        return [str(error)] * len(entries)
    return [
        f"{entry['ErrorCode']}: {entry.get('ErrorMessage')}"
        for entry in answer["Entries"]
        if "ErrorCode" in entry
    ]
