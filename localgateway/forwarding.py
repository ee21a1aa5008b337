"""Forwards HTTP requests to the embedded AWS."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11

from localgateway.request_bodies import TooLargeError, UnreadableError, read

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Send

# In bytes; DynamoDB's largest request is 16 MB.
_LIMIT = 16 * 1024 * 1024
_READ = 64 * 1024
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"expect"})


class Forwarder:
    """Sends requests to the server at `url` and passes on its responses.

    `Host` stays the client's, as the services build URLs from it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port

    async def forward(self, request: Request, send: Send) -> None:
        """Send one request and its response; a body that is too large or incomplete is refused."""
        try:
            body = await read(request, _LIMIT)
        except TooLargeError as error:
            await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
            return
        except UnreadableError as error:
            await _refuse(send, HTTPStatus.BAD_REQUEST, str(error))
            return
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            await _refuse(
                send, HTTPStatus.BAD_GATEWAY, f"the embedded AWS does not answer: {error}"
            )
            return
        try:
            await self._exchange(request, body, reader, writer, send)
        finally:
            writer.close()

    async def _exchange(
        self,
        request: Request,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        send: Send,
    ) -> None:
        protocol = h11.Connection(h11.CLIENT)
        target = request.scope["raw_path"] + (
            b"?" + query if (query := request.scope["query_string"]) else b""
        )
        headers = [
            (name, value)
            for name, value in request.scope["headers"]
            if name not in _HOP_BY_HOP | {b"content-length"}
        ]
        headers += [(b"connection", b"close"), (b"content-length", str(len(body)).encode())]
        head = h11.Request(method=request.method.encode(), target=target, headers=headers)
        for part in (head, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(protocol.send(part) or b"")
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Response):
                lines = [pair for pair in event.headers if pair[0] not in _HOP_BY_HOP]
                start = {"type": "http.response.start", "status": event.status_code}
                await send({**start, "headers": lines})
            elif isinstance(event, h11.Data):
                body = bytes(event.data)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            else:
                break
        await send({"type": "http.response.body"})


async def _refuse(send: Send, status: HTTPStatus, message: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})
