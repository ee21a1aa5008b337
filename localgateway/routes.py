"""The WebSocket side of the API: handshakes, messages and what happens when a client is gone."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from localgateway import events
from localgateway.answers import Accepted, Refused, admit, failure, notice, reply, select_route
from localgateway.connections import Connection, Limits, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Receive, Scope, Send

    from localgateway.connections import Socket
    from localgateway.functions import Function

INTEGRATION_TIMEOUT = 29.0
_MESSAGES_IN_FLIGHT = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a connection ended, as its socket knows it."""

    code: int
    reason: str | None


class Routes:
    """Serves WebSocket connections of one API; `functions` are by route key."""

    def __init__(
        self,
        api: events.Api,
        functions: Mapping[str, Function],
        registry: Registry,
        limits: Limits,
        drop_disconnects: float,
    ) -> None:
        self._api = api
        self._functions = functions
        self._message_routes = functions.keys() - {"$connect", "$disconnect"}
        self._registry = registry
        self._limits = limits
        self._drop_disconnects = drop_disconnects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to the delivery of its `$disconnect`."""
        handshake = _handshake(scope)
        at = _now()
        client = events.Client(events.new_id(), at, handshake.source_ip, handshake.user_agent)
        if scope["path"] not in (f"/{self._api.stage}", f"/{self._api.stage}/"):
            refused = Refused(HTTPStatus.FORBIDDEN, f"no stage at {scope['path']}")
            await _refuse(send, client, _occasion(at), refused)
        elif self._registry.full:
            refused = Refused(
                HTTPStatus.TOO_MANY_REQUESTS, "as many connections as may be are open"
            )
            await _refuse(send, client, _occasion(at), refused)
        else:
            with self._registry.place():
                await self._serve(scope, receive, send, client, handshake)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        client: events.Client,
        handshake: events.Handshake,
    ) -> None:
        occasion = _occasion(client.connected_at)
        decision = await self._connect(client, handshake, occasion)
        await receive()  # websocket.connect
        if isinstance(decision, Refused):
            await _refuse(send, client, occasion, decision)
            return
        answering: set[asyncio.Task[None]] = set()
        try:
            await send({"type": "websocket.accept", "subprotocol": decision.subprotocol})
        except OSError:  # the client left while $connect ran
            ending = Ending(1006, None)
        else:
            ending = await self._converse(
                scope["state"]["socket"], receive, send, client, answering
            )
        await self._disconnect(client, ending)
        if answering:
            await asyncio.wait(answering)

    async def _connect(
        self, client: events.Client, handshake: events.Handshake, occasion: events.Occasion
    ) -> Accepted | Refused:
        function = self._functions.get("$connect")
        if function is None:
            return Accepted()
        event = events.connect_event(
            self._api, client, handshake, occasion, events.new_trace_id(occasion.at)
        )
        return admit(await function.invoke(event, INTEGRATION_TIMEOUT))

    async def _converse(
        self,
        socket: Socket,
        receive: Receive,
        send: Send,
        client: events.Client,
        answering: set[asyncio.Task[None]],
    ) -> Ending:
        connection = Connection(client, socket, self._limits, asyncio.get_running_loop())
        with self._registry.open(connection):
            while (message := await receive())["type"] != "websocket.disconnect":
                if message.get("text") is None:
                    socket.start_close(1003, "Unsupported data")
                    continue
                connection.touch()
                task = asyncio.create_task(self._message(send, connection, message["text"]))
                answering.add(task)
                task.add_done_callback(answering.discard)
                if len(answering) >= _MESSAGES_IN_FLIGHT:
                    await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
        return Ending(message["code"], message.get("reason"))

    async def _message(self, send: Send, connection: Connection, text: str) -> None:
        client = connection.client
        occasion = _occasion(_now())
        route = select_route(text, self._message_routes)
        if route is None:
            answer: str | None = notice("Forbidden", client.connection_id, occasion)
        else:
            event = events.message_event(self._api, client, occasion, route, text)
            outcome = await self._functions[route].invoke(event, INTEGRATION_TIMEOUT)
            answer = reply(outcome, client.connection_id, occasion)
            if cause := failure(outcome):
                _log.error("%s of %s: %s", route, client.connection_id, cause)
        if answer is not None:
            await self._answer(send, connection, answer)

    async def _answer(self, send: Send, connection: Connection, answer: str) -> None:
        try:
            # Unlike a post, this waits for a slow client, and so slows down what it may ask.
            await send({"type": "websocket.send", "text": answer})
        except (OSError, RuntimeError):
            _log.info("%s left before its answer came", connection.client.connection_id)
        else:
            connection.touch()

    async def _disconnect(self, client: events.Client, ending: Ending) -> None:
        function = self._functions.get("$disconnect")
        if function is None:
            return
        if random.random() < self._drop_disconnects:  # noqa: S311 - chance, not secrecy
            _log.warning("dropped the $disconnect of %s, as asked", client.connection_id)
            return
        event = events.disconnect_event(
            self._api, client, _occasion(_now()), ending.code, ending.reason
        )
        try:
            outcome = await function.invoke(event)
        except asyncio.CancelledError:
            _log.error("$disconnect of %s was not delivered in time", client.connection_id)
            raise
        if cause := failure(outcome):
            _log.error("$disconnect of %s: %s", client.connection_id, cause)


async def _refuse(
    send: Send, client: events.Client, occasion: events.Occasion, refused: Refused
) -> None:
    _log.warning("refused a handshake with %d: %s", refused.status, refused.cause)
    body = refused.body or notice(_message(refused.status), client.connection_id, occasion)
    start: Message = {
        "type": "websocket.http.response.start",
        "status": refused.status,
        "headers": [(b"content-type", b"application/json")],
    }
    try:
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body.encode()})
    except OSError:
        _log.info("%s left before it was refused", client.source_ip)


def _message(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Internal server error"
    return next((known.phrase for known in HTTPStatus if known == status), "Refused")


def _handshake(scope: Scope) -> events.Handshake:
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    )
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    host, _ = scope["client"] or ("", 0)  # a client that is gone already has no address
    return events.Handshake(host, headers, tuple(query))


def _occasion(at: int) -> events.Occasion:
    return events.Occasion(events.new_id(), at)


def _now() -> int:
    return round(time.time() * 1000)
