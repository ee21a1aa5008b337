"""Lambda's Invoke API: runs a function by its name.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from localgateway import request_bodies
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut, cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from localgateway.lambda_runtime.functions import Function

PREFIX = "/2015-03-31/functions/"
# The maximum payload in bytes, by invocation type.
LIMITS = {
    "RequestResponse": 6 * 1024 * 1024,
    "Event": 1024 * 1024,
    "DryRun": 6 * 1024 * 1024,
}
_LATEST = "$LATEST"
_NAME = re.compile(
    r"(arn:aws[a-z-]*:lambda:)?([a-z]{2}(-[a-z]+)+-\d:)?(\d{12}:)?(function:)?"
    r"(?P<name>[\w-]+)(:(?P<qualifier>[\w$.-]+))?",
    re.ASCII,
)

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The error response of a request that Lambda refuses."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


class Invocations:
    """Invokes functions by name and tracks asynchronous invocations."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._running: set[asyncio.Task[None]] = set()

    def application(self) -> Starlette:
        """Return the HTTP application."""
        return Starlette(
            routes=[Route(PREFIX + "{name}/invocations", self._invoke, methods=["POST"])],
            exception_handlers={
                RefusedError: _refused,
                request_bodies.TooLargeError: _too_large,
                request_bodies.UnreadableError: _unreadable,
                HTTPException: _unknown,
            },
        )

    async def stop(self) -> None:
        """Abort running asynchronous invocations and log each."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _invoke(self, request: Request) -> Response:
        wanted = request.path_params["name"], request.query_params.get("Qualifier")
        self._named(*wanted)
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind not in LIMITS:
            message = f"InvocationType is {kind!r}; expected one of {', '.join(LIMITS)}"
            raise RefusedError(HTTPStatus.BAD_REQUEST, "InvalidParameterValueException", message)
        event = _event(await request_bodies.read(request, LIMITS[kind]))
        function = self._named(*wanted)  # another version may serve by now
        if kind == "DryRun":
            return Response(status_code=HTTPStatus.NO_CONTENT)
        if kind == "Event":
            task = asyncio.create_task(_run(function, event))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return Response(status_code=HTTPStatus.ACCEPTED)
        return _response(await function.invoke(event))

    def _named(self, wanted: str, qualifier: str | None) -> Function:
        match = _NAME.fullmatch(wanted)
        function = self._functions.get(match["name"]) if match else None
        versions = {qualifier or _LATEST, (match and match["qualifier"]) or _LATEST}
        if function is None or versions != {_LATEST}:
            message = f"Function not found: {wanted}; available: {', '.join(self._functions)}"
            raise RefusedError(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", message)
        return function


async def _run(function: Function, event: Any) -> None:
    name = function.definition.name
    try:
        outcome = await function.invoke(event)
    except asyncio.CancelledError:
        _log.error("asynchronous invocation of %s aborted by shutdown", name)
        raise
    if not isinstance(outcome, Returned):
        _log.error("asynchronous invocation of %s failed: %s", name, cause(outcome))


def _event(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", message
        ) from error


def _response(outcome: Outcome) -> Response:
    headers = {"X-Amz-Executed-Version": _LATEST}
    match outcome:
        case Returned(payload=payload):
            pass
        case TimedOut(seconds=seconds):
            message = f"Task timed out after {seconds:.2f} seconds"
            payload = {"errorType": "Sandbox.Timedout", "errorMessage": message}
        case Failed(cause=text, error=error):
            payload = error or {"errorType": "Runtime.ExitError", "errorMessage": text}
    if not isinstance(outcome, Returned):
        headers["X-Amz-Function-Error"] = "Unhandled"
    return Response(json.dumps(payload), headers=headers, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    refused = cast(RefusedError, error)  # registered for this class only
    return _error(refused.status, refused.code, refused.message)


async def _too_large(_: Request, error: Exception) -> Response:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _error(status, "RequestTooLargeException", str(error), close=True)


async def _unreadable(_: Request, error: Exception) -> Response:
    status = HTTPStatus.BAD_REQUEST
    return _error(status, "InvalidRequestContentException", str(error), close=True)


async def _unknown(_: Request, error: Exception) -> Response:
    message = f"{error}; only {PREFIX}{{name}}/invocations is supported"
    return _error(HTTPStatus.NOT_FOUND, "UnknownOperationException", message)


def _error(status: HTTPStatus, code: str, message: str, *, close: bool = False) -> Response:
    # The unread rest of a body would otherwise be parsed as the next request.
    headers = {"x-amzn-ErrorType": code} | ({"Connection": "close"} if close else {})
    body = json.dumps({"Type": "User", "Message": message})
    return Response(body, status, headers, "application/json")
