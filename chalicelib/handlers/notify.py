"""The function `notify`: delivers a notification from SNS to the connections."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chalicelib import settings
from chalicelib.adapters.lambda_invoke import invoke_async
from chalicelib.clock import Deadline
from chalicelib.domain.errors import (
    ContinuationError,
    NotificationError,
    RegistryError,
    StoreError,
    shown,
)
from chalicelib.domain.notification import from_sns
from chalicelib.services.delivery import Cursor, Delivery, DeliveryOutcome
from chalicelib.store import ConnectionStore
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.settings import Settings
    from chalicelib.telemetry.logs import Log

# Time kept after the last reply to a post: the time for the continuation, then for removing rows
# and announcing their ends, then for the last log line.
RESERVE_S = 12.0
REMOVAL_S = 5.0
LOG_S = 0.5
# The field with the cursor in the event that continues a delivery, which may also lie in the
# queue of failed notifications for days.
CURSOR = "place"


def notify(event: Mapping[str, Any], context: Any) -> dict[str, Any] | None:
    """Deliver the notification of an SNS event and return the report.

    An invalid notification is logged and counted, and None is returned. Any other failure is
    raised: Lambda retries twice and then sends the event to the failure destination.
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
    whole = Deadline.of(context).minus(LOG_S)
    deadline = whole.minus(RESERVE_S - LOG_S)
    notification = from_sns(event)
    cursor = _cursor(event, notification.id)
    delivery = Delivery(
        envelope=notification.envelope(),
        client_ids=notification.client_ids,
        store=ConnectionStore.open(config.connections_table, deadline),
        config=config,
        log=log,
        deadline=deadline,
        cursor=cursor,
    )
    try:
        finished = delivery.run()
    except StoreError as error:
        if delivery.cursor == cursor:  # a retry repeats nothing
            raise
        log.error("could not read table", error=str(error))
        finished = False
    delivery.answers.report(config, log)
    if not finished:
        if delivery.cursor == cursor:
            raise ContinuationError(notification.id, "no progress: nobody was served")
        rest = {**event, CURSOR: delivery.cursor.to_json()}
        failure = invoke_async(context.function_name, rest, whole.minus(REMOVAL_S))
        if failure is not None:
            raise ContinuationError(notification.id, failure)
    delivery.remove_gone(whole)
    report = _report(notification.id, delivery, finished, time.monotonic() - started)
    log.info("notified", **report, **metrics.fields(config.stage, _values(report)))
    return report


def _cursor(event: Mapping[str, Any], notification_id: str) -> Cursor:
    if CURSOR not in event:
        return Cursor()
    try:
        return Cursor.from_json(event[CURSOR])
    except (AttributeError, LookupError, TypeError) as error:
        problem = f"{CURSOR} is {shown(event[CURSOR])}; expected the cursor of a delivery"
        raise NotificationError(notification_id, problem) from error


def _report(
    notification_id: str, delivery: Delivery, finished: bool, seconds: float
) -> dict[str, Any]:
    return {
        "id": notification_id,
        **{outcome.value: delivery.outcomes[outcome] for outcome in DeliveryOutcome},
        "seconds": round(seconds, 3),
        "handedOn": not finished,
        "postP50Seconds": delivery.latencies.percentile(50),
        "postP99Seconds": delivery.latencies.percentile(99),
    }


def _values(report: Mapping[str, Any]) -> dict[Metric, float]:
    values = {
        Metric.DELIVERED: report[DeliveryOutcome.DELIVERED],
        Metric.GONE: report[DeliveryOutcome.GONE],
        Metric.FAILED: report[DeliveryOutcome.FAILED],
        Metric.SKIPPED: report[DeliveryOutcome.SKIPPED],
        Metric.DELIVERY_TIME: report["seconds"],
        Metric.POST_P50: report["postP50Seconds"],
        Metric.POST_P99: report["postP99Seconds"],
    }
    return {metric: value for metric, value in values.items() if value is not None}
