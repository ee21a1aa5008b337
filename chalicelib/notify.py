"""The function `notify`: a notification comes in over SNS and goes out to the connections."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import metrics, sdk, settings
from chalicelib.delivery import Delivery, Outcome, Place
from chalicelib.errors import RegistryError
from chalicelib.logs import invocation_log, set_level
from chalicelib.metrics import Metric
from chalicelib.notification import NotificationError, from_sns
from chalicelib.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient

    from chalicelib.logs import Log

# What is left of the invocation for removing rows and for handing the rest on.
RESERVE_S = 8.0
# The field of the event with which an invocation hands the rest on to the next one.
PLACE = "place"


class HandingOnError(RegistryError):
    """The rest of a delivery could not be handed on."""

    def __init__(self, notification_id: str, cause: str) -> None:
        super().__init__(notification_id, cause)
        self.notification_id = notification_id
        self.cause = cause

    def __str__(self) -> str:
        return f"the rest of notification {self.notification_id!r} is not handed on: {self.cause}"


def notify(event: Mapping[str, Any], context: Any) -> dict[str, Any] | None:
    """Deliver the notification of an SNS event, and give what came of it.

    A notification that nobody could receive is logged and counted, and None is given. Any other
    failure is raised: Lambda tries again, then hands the event to the failure destination.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        [record] = event["Records"]
        notification = from_sns(record)
        notification.envelope()
    except NotificationError as error:
        log.error("refused", error=str(error), **metrics.fields(config.stage, {Metric.REJECTED: 1}))
        return None
    place = Place.from_json(event[PLACE]) if PLACE in event else Place()
    started = time.monotonic()
    seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    store = open_store(config.connections_table)
    delivery = Delivery(notification, store, config, log, started + seconds)
    rest = delivery.run(place)
    if rest is not None:
        if rest == place:
            raise HandingOnError(notification.id, "this invocation has served nobody")
        _hand_on({**event, PLACE: rest.to_json()}, notification.id, context.function_name)
    return _report(delivery, rest, time.monotonic() - started, config.stage, log)


def _hand_on(event: Mapping[str, Any], notification_id: str, function: str) -> None:
    client = cast("LambdaClient", sdk.client("lambda"))
    try:
        client.invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode()
        )
    except (ClientError, BotoCoreError) as error:
        raise HandingOnError(notification_id, str(error)) from error


def _report(
    delivery: Delivery, rest: Place | None, seconds: float, stage: str, log: Log
) -> dict[str, Any]:
    counts = {outcome.value: delivery.outcomes[outcome] for outcome in Outcome}
    p50, p99 = (delivery.latencies.percentile(percent) for percent in (50, 99))
    report = {
        "id": delivery.notification.id,
        **counts,
        "seconds": round(seconds, 3),
        "handedOn": rest is not None,
        "postP50Seconds": p50,
        "postP99Seconds": p99,
    }
    values: dict[Metric, float] = {
        Metric.DELIVERED: counts[Outcome.DELIVERED],
        Metric.GONE: counts[Outcome.GONE],
        Metric.FAILED: counts[Outcome.FAILED],
        Metric.SKIPPED: counts[Outcome.SKIPPED],
        Metric.DELIVERY_TIME: seconds,
    }
    if p50 is not None and p99 is not None:
        values |= {Metric.POST_P50: p50, Metric.POST_P99: p99}
    log.info("notified", **report, **metrics.fields(stage, values))
    return report
