"""Stands between Lambda and the handlers that Chalice makes, so that each event has an answer.

Chalice reads some fields of an event before it calls the application, and raises `KeyError` or
`TypeError` when one is missing. Such an exception refuses a handshake with a 502 that hides the
cause, and makes Lambda deliver a notification again that can never be delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import (
    BaseLambdaEvent,
    EventSourceHandler,
    Response,
    WebsocketEventSourceHandler,
)

from chalicelib import settings
from chalicelib.domain import events
from chalicelib.domain.errors import EventError, ForeignEventError, RegistryError
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import Chalice

# How much of an invalid field is logged and answered: an event can hold megabytes.
SHOWN_CHARACTERS = 500


class AnyEvent(BaseLambdaEvent):
    """Any payload. The handler parses it."""

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        pass


class WebSocketFunction:
    """A function of the WebSocket API: answers malformed events, and the application's errors.

    An event of API Gateway goes to `handler`, which Chalice made. An unexpected error is raised,
    as without this class: it is a defect of the code, and the function's error metric shows it.
    """

    def __init__(self, name: str, handler: WebsocketEventSourceHandler) -> None:
        self._name = name
        self._handler = handler

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Return the response for API Gateway: 400 for an invalid event, 500 for a failure."""
        try:
            events.check(event)
            return self._handler(event, context)
        except RegistryError as error:
            self._log(error, event, context)
            if isinstance(error, EventError):
                return _answer(400, _cut(error))
            return _answer(500, "Internal server error")

    def _log(self, error: RegistryError, event: Any, context: Any) -> None:
        known = {"error": _cut(error), "errorType": type(error).__name__}
        if isinstance(error, ForeignEventError):  # not a client's handshake: nothing to count
            invocation_log(context).warning(f"{self._name} ignored a payload", **known)
            return
        sent = event["requestContext"]
        log = invocation_log(context, connectionId=_text(sent.get("connectionId")))
        log.error(f"{self._name} failed", **known, **self._counted(error, sent.get("stage")))

    def _counted(self, error: RegistryError, stage: object) -> dict[str, Any]:
        """Return the metrics of a failure: of a 500, and of a handshake that is refused."""
        values: dict[Metric, float] = {}
        if not isinstance(error, EventError):
            values[Metric.FAILURES] = 1
        if self._name == "connect":
            values[Metric.REFUSED] = 1
        if self._name == "connect" and error.reason == "unverified":
            values[Metric.VERIFICATION_FAILURES] = 1
        if not values:
            return {}
        named = stage if isinstance(stage, str) and stage else settings.stage()
        return metrics.fields(named, values, error.reason if self._name == "connect" else None)


def protect(app: Chalice) -> dict[str, Callable[[Any, Any], Any]]:
    """Make each function of `app` take any event, and return the functions by name.

    `chalice.test.Client` looks them up in `app.handler_map`, Lambda in the module, which has to
    take over the result. Raises `SettingsError` for a `TTL_HOURS` under 3 while packaging.
    """
    too_short = settings.short_ttl()
    if too_short:
        invocation_log(None).warning("connections may lose their rows", error=str(too_short))
    for name, handler in app.handler_map.items():
        if isinstance(handler, WebsocketEventSourceHandler):
            app.handler_map[name] = WebSocketFunction(name, handler)
        elif isinstance(handler, EventSourceHandler):
            handler.event_class = AnyEvent
    return app.handler_map


def _cut(error: RegistryError) -> str:
    return str(error)[:SHOWN_CHARACTERS] if isinstance(error, EventError) else str(error)


def _text(value: object) -> str | None:
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else None


def _answer(status: int, body: str) -> dict[str, Any]:
    answer: dict[str, Any] = Response(body, status_code=status).to_dict()
    return answer
