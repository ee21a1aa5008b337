"""The function `unclaimed`: announces the clients that have not picked a notification up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import settings
from chalicelib.adapters import eventbridge
from chalicelib.claims import Claims
from chalicelib.clock import Deadline
from chalicelib.domain import unclaimed as domain
from chalicelib.domain.errors import AnnouncementError, QueuedMessageError, RegistryError, shown
from chalicelib.history import open_history
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.domain.unclaimed import Claim, Queued, Waiting, Why
    from chalicelib.settings import Settings
    from chalicelib.telemetry.logs import Log

DETAIL_TYPE = "Nobody Home"
# Time kept for the last log line.
RESERVE_S = 0.25


def unclaimed(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Announce each client of a message that has not claimed its notification.

    Returns how many were announced and how many had claimed it. Any failure is raised: SQS shows
    the message again, all of its clients may be announced once more, and after five times it goes
    to the failure queue.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        deadline = Deadline.of(context).minus(RESERVE_S)
        queued = domain.parse(_body(event))
        told = domain.unclaimed(queued, _claims(queued, config, deadline))
        _announce(queued, told, config, log, deadline)
    except RegistryError as error:
        log.error("unclaimed failed", error=str(error), errorType=type(error).__name__)
        raise
    report = {"id": queued.id, "announced": len(told), "claimed": len(queued.clients) - len(told)}
    log.info("looked after", **report)
    return report


def _body(event: Mapping[str, Any]) -> str:
    """Return the body of the only message of an SQS event.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    try:
        [record] = event["Records"]  # the batch size is 1
        return str(record["body"])
    except (LookupError, TypeError, ValueError) as error:
        raise QueuedMessageError(shown(event)) from error


def _claims(queued: Queued, config: Settings, deadline: Deadline) -> dict[str, Claim]:
    """Return the claims by client id: none if the history was switched off meanwhile."""
    numbers = {each.client_id: each.seq for each in queued.clients if each.seq is not None}
    if config.history is None or not numbers:
        return {}
    history = open_history(config.history.table, deadline)
    return Claims(history, config.history.keep_seconds).find(numbers)


def _announce(
    queued: Queued,
    told: Sequence[tuple[Waiting, Why]],
    config: Settings,
    log: Log,
    deadline: Deadline,
) -> None:
    """Publish an event for each client if `EVENT_BUS` is set, then log and count them."""
    details = [queued.detail(client.client_id, client.seq, why) for client, why in told]
    if config.event_bus:
        failures = eventbridge.put_events(config.event_bus, DETAIL_TYPE, details, deadline)
        if failures:
            counted = metrics.fields(config.stage, {Metric.ANNOUNCEMENT_FAILURES: len(failures)})
            log.error("event not published", failures=failures, **counted)
            raise AnnouncementError(queued.id, failures)
    for client, why in told:
        counted = metrics.fields(config.stage, {Metric.UNCLAIMED: 1})
        log.warning(
            "nobody home",
            id=queued.id,
            clientId=client.client_id,
            seq=client.seq,
            why=why.value,
            **counted,
        )
