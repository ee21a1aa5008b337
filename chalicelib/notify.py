"""The function `notify`: a notification comes in over SNS and goes out to the connections."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import metrics, sdk, settings
from chalicelib.delivery import Delivery, Outcome, Place
from chalicelib.errors import RegistryError, StoreError
from chalicelib.logs import invocation_log, set_level
from chalicelib.metrics import Metric
from chalicelib.notification import NotificationError, from_sns
from chalicelib.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient

    from chalicelib.logs import Log
    from chalicelib.settings import Settings

# What is left of the invocation when the last post has been replied to: for a row that is being
# removed, for announcing ends and for handing the rest on, each of which a dead endpoint can
# hold up for 3.2 s (chalicelib.sdk).
RESERVE_S = 10.0
# Of it, how long rows are removed for.
REMOVAL_S = 3.0
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
        return _deliver(event, context, config, log)
    except NotificationError as error:
        log.error("refused", error=str(error), **metrics.fields(config.stage, {Metric.REJECTED: 1}))
        return None
    except RegistryError as error:
        log.error("notify failed", error=str(error), errorType=type(error).__name__)
        raise


def _deliver(event: Mapping[str, Any], context: Any, config: Settings, log: Log) -> dict[str, Any]:
    started = time.monotonic()
    deadline = started + context.get_remaining_time_in_millis() / 1000 - RESERVE_S
    notification = from_sns(event)
    place = Place.from_json(event[PLACE]) if PLACE in event else Place()
    delivery = Delivery(
        envelope=notification.envelope(),
        client_ids=notification.client_ids,
        store=open_store(config.connections_table),
        config=config,
        log=log,
        deadline=deadline,
        place=place,
    )
    try:
        finished = delivery.run()
    except StoreError as error:
        if delivery.place == place:  # trying again repeats nothing
            raise
        log.error("table not read", error=str(error))
        finished = False
    if not finished:
        if delivery.place == place:
            raise HandingOnError(notification.id, "this invocation has served nobody")
        rest = {**event, PLACE: delivery.place.to_json()}
        _hand_on(rest, notification.id, context.function_name)
    delivery.remove_gone(deadline + REMOVAL_S)
    report = _report(notification.id, delivery, finished, time.monotonic() - started)
    log.info("notified", **report, **metrics.fields(config.stage, _values(report)))
    return report


def _hand_on(event: Mapping[str, Any], notification_id: str, function: str) -> None:
    """Have a fresh invocation go on; an event may be 1 MB, so its text is kept short."""
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    client = cast("LambdaClient", sdk.client("lambda"))
    try:
        client.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
    except (ClientError, BotoCoreError) as error:
        raise HandingOnError(notification_id, str(error)) from error


def _report(
    notification_id: str, delivery: Delivery, finished: bool, seconds: float
) -> dict[str, Any]:
    return {
        "id": notification_id,
        **{outcome.value: delivery.outcomes[outcome] for outcome in Outcome},
        "seconds": round(seconds, 3),
        "handedOn": not finished,
        "postP50Seconds": delivery.latencies.percentile(50),
        "postP99Seconds": delivery.latencies.percentile(99),
    }


def _values(report: Mapping[str, Any]) -> dict[Metric, float]:
    values = {
        Metric.DELIVERED: report[Outcome.DELIVERED],
        Metric.GONE: report[Outcome.GONE],
        Metric.FAILED: report[Outcome.FAILED],
        Metric.SKIPPED: report[Outcome.SKIPPED],
        Metric.DELIVERY_TIME: report["seconds"],
        Metric.POST_P50: report["postP50Seconds"],
        Metric.POST_P99: report["postP99Seconds"],
    }
    return {metric: value for metric, value in values.items() if value is not None}
