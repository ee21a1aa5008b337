"""The life of a WebSocket connection, from its handshake to its `$disconnect`."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localgateway.access_log import note
from localgateway.api_gateway import events
from localgateway.api_gateway.connections import Connection, Registry
from localgateway.api_gateway.faults import happens
from localgateway.api_gateway.handshakes import (
    Handshakes,
    note_opening,
    read_handshake,
    refuse,
    since,
)
from localgateway.api_gateway.messages import Messages
from localgateway.api_gateway.responses import Refused, failure
from localgateway.observer import events as observed
from localgateway.observer.masking import masked_pairs, masked_protocols

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from localgateway.api_gateway.connections import Socket
    from localgateway.api_gateway.faults import Faults
    from localgateway.api_gateway.settings import ApiSettings
    from localgateway.api_gateway.timeouts import Timeouts
    from localgateway.lambda_runtime.functions import Function
    from localgateway.observer.observer import Observer

_MESSAGES_IN_FLIGHT = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """The close code and reason with which a connection ended."""

    code: int
    reason: str | None


class WebSocketApi:
    """Serves the WebSocket connections of one API; `functions` are by route key and may change."""

    def __init__(
        self,
        api: events.Api,
        functions: Mapping[str, Function],
        registry: Registry,
        timeouts: Timeouts,
        faults: Faults,
        settings: ApiSettings,
        observer: Observer,
    ) -> None:
        self._api = api
        self._observer = observer
        self._handshakes = Handshakes(api, functions, registry, settings)
        self._messages = Messages(api, functions, settings, observer)
        self._functions = functions
        self._registry = registry
        self._timeouts = timeouts
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake until its `$disconnect` is delivered."""
        handshake = read_handshake(scope)
        occasion = events.occasion_now()
        client = events.Client(
            events.new_id(), occasion.at, handshake.source_ip, handshake.user_agent
        )
        self._observer.record(_began(client, handshake, scope))
        if refused := self._handshakes.screen(scope["path"], scope["query_string"]):
            await self._refuse(send, client, occasion, refused)
            return
        with self._registry.reserve():
            decision = await self._handshakes.connect(client, handshake, occasion)
            await receive()  # websocket.connect
            if isinstance(decision, Refused):
                await self._refuse(send, client, occasion, decision)
            else:
                client = dataclasses.replace(client, authorizer=decision.authorizer)
                await self._serve(scope, receive, send, client, decision.subprotocol, occasion)

    async def _refuse(
        self, send: Send, client: events.Client, occasion: events.Occasion, refused: Refused
    ) -> None:
        ms = since(occasion)
        self._observer.record(
            observed.Refused(client.connection_id, refused.status, refused.cause, ms)
        )
        await refuse(send, client, occasion, refused)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        client: events.Client,
        subprotocol: str | None,
        occasion: events.Occasion,
    ) -> None:
        in_flight: set[asyncio.Task[None]] = set()
        try:
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
        except OSError:  # the client disconnected while $connect ran
            ending = Ending(1006, None)
        else:
            note_opening(client, occasion, self._functions.get("$connect"))
            ms = since(occasion)
            self._observer.record(observed.Opened(client.connection_id, subprotocol, ms))
            socket = scope["state"]["socket"]
            ending = await self._converse(socket, receive, send, client, in_flight)
        seconds = round(time.time() - client.connected_at / 1000, 3)
        note(
            "closed",
            code=ending.code,
            reason=ending.reason or None,
            connectionId=client.connection_id,
            seconds=seconds,
            route="$disconnect",
        )
        reason = events.close_reason(ending.code, ending.reason)
        self._observer.record(observed.Closed(client.connection_id, ending.code, reason, seconds))
        disconnect = await self._disconnect(client, ending)
        self._observer.record(observed.Ended(client.connection_id, disconnect))
        if in_flight:
            await asyncio.wait(in_flight)

    async def _converse(
        self,
        socket: Socket,
        receive: Receive,
        send: Send,
        client: events.Client,
        in_flight: set[asyncio.Task[None]],
    ) -> Ending:
        connection = Connection(client, socket, self._timeouts, asyncio.get_running_loop())
        with self._registry.open(connection):
            while (message := await receive())["type"] != "websocket.disconnect":
                if message.get("text") is None:
                    socket.start_close(1003, "Unsupported data")
                    continue
                connection.heard()
                task = asyncio.create_task(self._messages.serve(send, connection, message["text"]))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
                if len(in_flight) >= _MESSAGES_IN_FLIGHT:
                    await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
        return Ending(message["code"], message.get("reason"))

    async def _disconnect(self, client: events.Client, ending: Ending) -> str:
        function = self._functions.get("$disconnect")
        if function is None:
            return "none"
        if happens(self._faults.drop_disconnects):
            _log.warning("dropped $disconnect of %s (--drop-disconnects)", client.connection_id)
            return "dropped"
        event = events.disconnect_event(
            self._api, client, events.occasion_now(), ending.code, ending.reason
        )
        try:
            outcome = await function.invoke(event)
        except asyncio.CancelledError:
            _log.error("$disconnect of %s aborted by shutdown", client.connection_id)
            raise
        if cause := failure(outcome):
            _log.error("$disconnect of %s: %s", client.connection_id, cause)
            return "failed"
        return "delivered"


def _began(
    client: events.Client, handshake: events.Handshake, scope: Scope
) -> observed.HandshakeBegan:
    headers = {name.lower(): value for name, value in handshake.headers}
    protocols = headers.get("sec-websocket-protocol")
    return observed.HandshakeBegan(
        client.connection_id,
        client.connected_at,
        client.source_ip,
        (scope["client"] or ("", 0))[1],
        client.user_agent,
        masked_pairs(handshake.query),
        protocols and masked_protocols(protocols),
        headers.get("origin"),
    )
