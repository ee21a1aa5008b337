"""HTTP of the console, under one path of the gateway: the page, its events and its actions.

The page itself is open. Everything else needs the token of the run, which the printed address
carries behind `#`: browsers do not send that part.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from localgateway import request_bodies
from localgateway.console.assets import HEADERS, asset
from localgateway.console.errors import ActionError
from localgateway.console.summaries import details, summary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from localgateway.console.actions import Actions
    from localgateway.console.watch import Watch
    from localgateway.observer.observer import Observer

    Endpoint = Callable[[Request], Awaitable[Response]]

PREFIX = "/@console/"
_BODY_LIMIT = 8 * 1024 * 1024
# Events and connections in one line of the stream: the browser parses each at once.
_EVENTS = 200
_PAIRS = 50
# In seconds, between looks for news; the state is looked at in every tenth.
_STEP = 0.1
_STATE_STEPS = 10


class ConsoleApi:
    """The console's HTTP application; `state` returns what the page shows of the run."""

    def __init__(
        self,
        token: str,
        observer: Observer,
        watch: Watch,
        actions: Actions,
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._token = token
        self._observer = observer
        self._watch = watch
        self._actions = actions
        self._state = state
        self._closing = False

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        api = f"{PREFIX}api/"
        return Starlette(
            routes=[
                Route(f"{api}state", self._guarded(self._show_state)),
                Route(f"{api}stream", self._guarded(self._stream)),
                Route(f"{api}metrics", self._guarded(self._show_metrics)),
                Route(f"{api}events/{{seq}}", self._guarded(self._show_event)),
                Route(f"{api}actions/{{name}}", self._guarded(self._act), methods=["POST"]),
                Route(f"{PREFIX}{{name}}", _file),
                Route(PREFIX, _file),
                Route(PREFIX.rstrip("/"), _redirect),
            ]
        )

    def close(self) -> None:
        """End the streams."""
        self._closing = True

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or not secrets.compare_digest(
                token.encode(), self._token.encode()
            ):
                message = "the token of this run is missing or wrong: use the printed address"
                return _json({"message": message}, HTTPStatus.UNAUTHORIZED)
            return await endpoint(request)

        return guarded

    async def _show_state(self, _: Request) -> Response:
        with self._watch.watcher():
            self._watch.refresh()
            comparison = self._watch.comparison
            pairs = [comparison.pair(each) for each in sorted(comparison.verdicts)]
            return _json({**self._whole_state(), "connections": pairs})

    async def _show_metrics(self, _: Request) -> Response:
        now = time.time()
        return _json({"now": now, "series": self._observer.metrics.shown(now)})

    async def _show_event(self, request: Request) -> Response:
        seq = _number(request.path_params["seq"])
        entry = None if seq is None else self._observer.entry(seq)
        if entry is None:
            message = "this event is not kept any more"
            return _json({"message": message}, HTTPStatus.NOT_FOUND)
        invocation = getattr(entry.event, "invocation", 0)
        related = self._observer.of_invocation(invocation) if invocation else [entry]
        return _json(details(entry, related))

    async def _act(self, request: Request) -> Response:
        try:
            arguments = json.loads(await request_bodies.read(request, _BODY_LIMIT) or b"{}")
            if not isinstance(arguments, dict):
                raise ValueError(f"the body is {arguments!r}; expected an object")
            result = await self._actions.run(request.path_params["name"], arguments)
        except (request_bodies.TooLargeError, request_bodies.UnreadableError, ValueError) as error:
            return _json({"message": str(error)}, HTTPStatus.BAD_REQUEST)
        except RecursionError:
            return _json({"message": "the body is nested too deeply"}, HTTPStatus.BAD_REQUEST)
        except ActionError as error:
            return _json({"message": str(error)}, HTTPStatus.CONFLICT)
        return _json({"result": result})

    async def _stream(self, request: Request) -> Response:
        after = _number(request.query_params.get("after", "0"))
        if after is None:
            return _json({"message": "after has to be a number"}, HTTPStatus.BAD_REQUEST)
        return StreamingResponse(
            self._lines(after), headers=dict(HEADERS), media_type="application/x-ndjson"
        )

    async def _lines(self, after: int) -> AsyncIterator[bytes]:
        with self._watch.watcher() as watcher:
            shown, step = b"", 0
            while not self._closing:
                self._watch.refresh()
                if step % _STATE_STEPS == 0:
                    state = _line({"state": self._whole_state()})
                    if state != shown:
                        shown = state
                        yield state
                while entries := self._observer.after(after, _EVENTS):
                    after = entries[-1].seq
                    yield _line({"events": [summary(each) for each in entries]})
                while watcher.changed:
                    ids = [watcher.changed.pop() for _ in range(min(_PAIRS, len(watcher.changed)))]
                    yield _line({"pairs": [self._watch.comparison.pair(each) for each in ids]})
                step += 1
                await asyncio.sleep(_STEP)

    def _whole_state(self) -> dict[str, Any]:
        comparison, table = self._watch.comparison, self._watch.table
        known = comparison.table
        return {
            **self._state(),
            "table": None if known is None else vars(known),
            "otherRows": table.others,
            "tableError": table.error,
            "read": comparison.reading.began > 0,
            "disagreements": comparison.disagreements(),
        }


def _number(text: str) -> int | None:
    """Return the number, or None for another text and for one that is too long."""
    try:
        return int(text)
    except ValueError:
        return None


async def _file(request: Request) -> Response:
    found = asset(request.path_params.get("name", ""))
    if found is None:
        return _json({"message": "no such file"}, HTTPStatus.NOT_FOUND)
    content, kind = found
    return Response(content, headers=dict(HEADERS), media_type=kind)


async def _redirect(_: Request) -> Response:
    return Response(
        status_code=HTTPStatus.TEMPORARY_REDIRECT, headers={**HEADERS, "Location": PREFIX}
    )


def _line(message: Any) -> bytes:
    return _encoded(message) + b"\n"


def _json(body: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(_encoded(body), status, dict(HEADERS), "application/json")


def _encoded(body: Any) -> bytes:
    # Texts are of functions and clients, which may have halves of characters (lone surrogates).
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")
