"""Messages of clients: select the route, invoke its function, send the reply."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from localgateway.access_log import milliseconds, note
from localgateway.api_gateway import events
from localgateway.api_gateway.quotas import INTEGRATION_TIMEOUT
from localgateway.api_gateway.responses import failure, notice, reply
from localgateway.api_gateway.routes import select_route
from localgateway.observer.events import Replied
from localgateway.observer.observer import content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Send

    from localgateway.api_gateway.connections import Connection
    from localgateway.api_gateway.settings import ApiSettings
    from localgateway.lambda_runtime.functions import Function
    from localgateway.observer.observer import Observer

_log = logging.getLogger(__name__)


class Messages:
    """Serves the messages of one API; `functions` are by route key."""

    def __init__(
        self,
        api: events.Api,
        functions: Mapping[str, Function],
        settings: ApiSettings,
        observer: Observer,
    ) -> None:
        self._api = api
        self._settings = settings
        self._functions = functions
        self._observer = observer

    async def serve(self, send: Send, connection: Connection, text: str) -> None:
        """Invoke the function of the message's route and send its reply, if any."""
        client = connection.client
        occasion, started = events.occasion_now(), time.monotonic()
        route = select_route(text, self._functions)
        name, status = None, "error"
        if route is None:
            answer: str | None = notice("Forbidden", client.connection_id, occasion)
        else:
            name = self._functions[route].definition.name
            event = events.message_event(self._api, client, occasion, route, text)
            outcome = await self._functions[route].invoke(event, INTEGRATION_TIMEOUT)
            answer = reply(
                outcome,
                client.connection_id,
                occasion,
                route_response=self._settings.has_route_response(route),
            )
            if cause := failure(outcome):
                _log.error("%s of %s: %s", route, client.connection_id, cause)
            else:
                status = "ok"
        note(
            f"message {route or 'without a route'}",
            status=status,
            connectionId=client.connection_id,
            ms=milliseconds(time.monotonic() - started),
            route=route,
            function=name,
        )
        if answer is not None:
            replied = Replied(client.connection_id, content(answer.encode()))
            self._observer.record(replied)
            await _send(send, connection, answer)


async def _send(send: Send, connection: Connection, answer: str) -> None:
    try:
        # Unlike a POST to @connections, this waits for a slow client: backpressure.
        await send({"type": "websocket.send", "text": answer})
    except (OSError, RuntimeError):
        _log.info("%s disconnected before it was answered", connection.client.connection_id)
    else:
        connection.told()
