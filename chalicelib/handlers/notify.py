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
from chalicelib.domain.notification import MAX_ENVELOPE_BYTES, MAX_RECORDED_BYTES, from_sns
from chalicelib.services.delivery import Cursor, Delivery, DeliveryOutcome
from chalicelib.store import ConnectionStore
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.notification import Notification
    from chalicelib.services.recording import Recording
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
    envelope = notification.envelope(MAX_RECORDED_BYTES if config.history else MAX_ENVELOPE_BYTES)
    cursor = _cursor(event, notification.id)
    recording = _recording(event, notification, envelope, config, deadline)
    delivery = Delivery(
        envelope=envelope,
        client_ids=notification.client_ids,
        store=ConnectionStore.open(config.connections_table, deadline),
        config=config,
        log=log,
        deadline=deadline,
        cursor=cursor,
        recording=recording,
    )
    finished = _run(delivery, cursor, log)
    delivery.answers.report(config, log)
    if not finished:
        _continue(event, context, notification.id, delivery, cursor, whole.minus(REMOVAL_S))
    delivery.remove_gone(whole)
    report = _report(notification.id, delivery, finished, time.monotonic() - started)
    log.info("notified", **report, **metrics.fields(config.stage, _values(report, recording)))
    if recording and recording.failure:
        raise recording.failure  # Lambda tries again; clients drop the repeat by its id
    return report


def _recording(
    event: Mapping[str, Any],
    notification: Notification,
    envelope: bytes,
    config: Settings,
    deadline: Deadline,
) -> Recording | None:
    """Return what records the notification, or None if it has no place in the history."""
    history = config.history
    if history is None or not (history.has_own or notification.client_ids is None):
        return None
    # Imported only with a history.
    from chalicelib.history import open_history
    from chalicelib.services.recording import Recording, continued

    try:
        position, is_left = continued(event.get(CURSOR, {}))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _invalid_cursor(event, notification.id) from error
    return Recording(
        open_history(history.table, deadline),
        history.keep_seconds,
        deadline,
        notification.id,
        envelope,
        notification.client_ids,
        position,
        is_left,
    )


def _run(delivery: Delivery, cursor: Cursor, log: Log) -> bool:
    """Deliver. Return whether everything was sent; raise if a retry repeats nothing."""
    try:
        return delivery.run()
    except StoreError as error:
        if delivery.cursor == cursor:
            raise
        log.error("could not read table", error=str(error))
        return False
    finally:
        if delivery.recording:
            delivery.recording.close()
            _log_failure(delivery.recording, delivery.config.stage, log)


def _log_failure(recording: Recording, stage: str, log: Log) -> None:
    if recording.failure:
        counted = metrics.fields(stage, {Metric.HISTORY_FAILURES: 1})
        log.error("not recorded", error=str(recording.failure), **counted)


def _continue(
    event: Mapping[str, Any],
    context: Any,
    notification_id: str,
    delivery: Delivery,
    cursor: Cursor,
    deadline: Deadline,
) -> None:
    """Start an invocation that delivers the rest. Raises `ContinuationError`."""
    if delivery.cursor == cursor:
        raise ContinuationError(notification_id, "no progress: nobody was served")
    place = delivery.recording.to_json() if delivery.recording else {}
    rest = {**event, CURSOR: {**delivery.cursor.to_json(), **place}}
    failure = invoke_async(context.function_name, rest, deadline)
    if failure is not None:
        raise ContinuationError(notification_id, failure)


def _cursor(event: Mapping[str, Any], notification_id: str) -> Cursor:
    if CURSOR not in event:
        return Cursor()
    try:
        return Cursor.from_json(event[CURSOR])
    except (AttributeError, LookupError, TypeError) as error:
        raise _invalid_cursor(event, notification_id) from error


def _invalid_cursor(event: Mapping[str, Any], notification_id: str) -> NotificationError:
    problem = f"{CURSOR} is {shown(event[CURSOR])}; expected the cursor of a delivery"
    return NotificationError(notification_id, problem)


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


def _values(report: Mapping[str, Any], recording: Recording | None) -> dict[Metric, float]:
    values = {
        Metric.RECORDED: recording.recorded if recording else None,
        Metric.DELIVERED: report[DeliveryOutcome.DELIVERED],
        Metric.GONE: report[DeliveryOutcome.GONE],
        Metric.FAILED: report[DeliveryOutcome.FAILED],
        Metric.SKIPPED: report[DeliveryOutcome.SKIPPED],
        Metric.EXPIRED: report[DeliveryOutcome.EXPIRED],
        Metric.DELIVERY_TIME: report["seconds"],
        Metric.POST_P50: report["postP50Seconds"],
        Metric.POST_P99: report["postP99Seconds"],
    }
    return {metric: value for metric, value in values.items() if value is not None}
