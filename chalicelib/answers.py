"""What API Gateway is answered when the registry raises an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import metrics
from chalicelib.errors import EventError, RegistryError
from chalicelib.logs import invocation_log
from chalicelib.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chalice.app import WebsocketEvent


def answer_errors(
    event: WebsocketEvent, get_response: Callable[[WebsocketEvent], Response]
) -> Response:
    """Turn an error of the registry into the response that API Gateway acts on.

    It is a Chalice middleware. An exception would refuse a handshake as well, but with a 502
    that hides the cause; any error that is not the registry's own still ends so.
    """
    try:
        return get_response(event)
    except RegistryError as error:
        log = invocation_log(event.context, connectionId=event.connection_id)
        log.error(
            "invocation failed",
            error=str(error),
            errorType=type(error).__name__,
            **_counted(event, error),
        )
        if isinstance(error, EventError):
            return Response(str(error), status_code=400)
        return Response("Internal server error", status_code=500)


def _counted(event: WebsocketEvent, error: RegistryError) -> dict[str, Any]:
    if event.to_dict()["requestContext"].get("eventType") != "CONNECT":
        return {}
    values: dict[Metric, float] = {Metric.REFUSED: 1}
    if error.reason == "unverified":
        values[Metric.VERIFICATION_FAILURES] = 1
    return metrics.fields(event.stage, values, error.reason)
