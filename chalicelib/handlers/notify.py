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
    from chalicelib.services.queueing import Queueing
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
# In it: the numbers of the named clients that were reached, and of those looked at for the queue.
REACHED = "reached"
QUEUED = "queued"


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
    has_own = config.history is not None and config.history.has_own
    envelope = notification.envelope(
        MAX_RECORDED_BYTES if config.history else MAX_ENVELOPE_BYTES,
        receipt=notification.receipt and has_own and config.unclaimed is not None,
    )
    cursor = _cursor(event, notification.id)
    reached, looked_at = _looked_at(event, notification.id)
    recording = _recording(event, notification, envelope, config, deadline)
    queueing = _queueing(notification, len(envelope), looked_at, recording, config, deadline)
    delivery = Delivery(
        envelope=envelope,
        client_ids=notification.client_ids,
        store=ConnectionStore.open(config.connections_table, deadline),
        config=config,
        log=log,
        deadline=deadline,
        cursor=cursor,
        recording=recording,
        reached=reached,
    )
    try:
        finished = _run(delivery, cursor, log)
        if finished and queueing and not (recording and recording.failure):
            finished = queueing.run(reached)
    finally:
        if recording:
            recording.close()
            _log_failure(recording, config.stage, log)
    delivery.answers.report(config, log)
    if not finished:
        if delivery.cursor == cursor and (queueing is None or queueing.done == looked_at):
            raise ContinuationError(notification.id, "no progress: nobody was served")
        place = _place(delivery, queueing)
        _continue(event, context, notification.id, place, whole.minus(REMOVAL_S))
    delivery.remove_gone(whole)
    report = _report(notification.id, delivery, finished, time.monotonic() - started)
    queued = {"queued": queueing.sent} if queueing else {}
    counted = metrics.fields(config.stage, _values(report, recording))
    log.info("notified", **report, **queued, **counted)
    # Lambda tries again; clients drop the repeat by its id.
    if recording and recording.failure:
        raise recording.failure
    if queueing and queueing.failure:
        raise queueing.failure
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


def _queueing(
    notification: Notification,
    envelope_bytes: int,
    looked_at: int,
    recording: Recording | None,
    config: Settings,
    deadline: Deadline,
) -> Queueing | None:
    """Return what queues clients that may not be reached, or None if nobody asks for them."""
    if config.unclaimed is None or notification.client_ids is None:
        return None
    # Imported only with a queue.
    from chalicelib.adapters.sqs import Queue
    from chalicelib.services.queueing import Queueing

    queue = Queue.open(config.unclaimed.queue, deadline)
    delay_s = config.unclaimed.seconds
    return Queueing(notification, envelope_bytes, queue, delay_s, recording, looked_at)


def _looked_at(event: Mapping[str, Any], notification_id: str) -> tuple[set[int], int]:
    """Return the clients that invocations before this one reached, and how many they looked at."""
    fields = event.get(CURSOR, {})
    try:
        return {int(number) for number in fields.get(REACHED, ())}, int(fields.get(QUEUED, 0))
    except (AttributeError, TypeError, ValueError) as error:
        raise _invalid_cursor(event, notification_id) from error


def _place(delivery: Delivery, queueing: Queueing | None) -> dict[str, Any]:
    """Return where the invocation that continues begins."""
    place = delivery.cursor.to_json()
    if delivery.recording:
        place |= delivery.recording.to_json()
    if queueing:
        place |= {REACHED: sorted(delivery.reached), QUEUED: queueing.done}
    return place


def _run(delivery: Delivery, cursor: Cursor, log: Log) -> bool:
    """Deliver. Return whether everything was sent; raise if a retry repeats nothing."""
    try:
        return delivery.run()
    except StoreError as error:
        if delivery.cursor == cursor:
            raise
        log.error("could not read table", error=str(error))
        return False


def _log_failure(recording: Recording, stage: str, log: Log) -> None:
    if recording.failure:
        counted = metrics.fields(stage, {Metric.HISTORY_FAILURES: 1})
        log.error("not recorded", error=str(recording.failure), **counted)


def _continue(
    event: Mapping[str, Any],
    context: Any,
    notification_id: str,
    place: Mapping[str, Any],
    deadline: Deadline,
) -> None:
    """Start an invocation that delivers the rest. Raises `ContinuationError`."""
    rest = {**event, CURSOR: place}
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
