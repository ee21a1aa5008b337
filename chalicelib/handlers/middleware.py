"""Turns the application's errors into answers for API Gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib.domain.errors import EventError, RegistryError
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chalice.app import WebsocketEvent


def answer_errors(
    event: WebsocketEvent, get_response: Callable[[WebsocketEvent], Response]
) -> Response:
    """Return the response for an error of the application. This is a Chalice middleware.

    An exception would refuse a handshake too, but with a 502 that hides the cause. Unexpected
    errors still end that way.
    """
    try:
        return get_response(event)
    except RegistryError as error:
        log = invocation_log(event.context, connectionId=event.connection_id)
        log.error(
            f"{_function(event)} failed",
            error=str(error),
            errorType=type(error).__name__,
            **_counted(event, error),
        )
        if isinstance(error, EventError):
            return Response(str(error), status_code=400)
        return Response("Internal server error", status_code=500)


def _event_type(event: WebsocketEvent) -> str:
    return str(event.to_dict()["requestContext"].get("eventType"))


def _function(event: WebsocketEvent) -> str:
    return _event_type(event).lower()


def _counted(event: WebsocketEvent, error: RegistryError) -> dict[str, Any]:
    if _event_type(event) != "CONNECT":
        return {}
    values: dict[Metric, float] = {Metric.REFUSED: 1}
    if error.reason == "unverified":
        values[Metric.VERIFICATION_FAILURES] = 1
    return metrics.fields(event.stage, values, error.reason)
