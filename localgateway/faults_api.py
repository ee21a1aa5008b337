"""Shows and changes the faults while the gateway serves: GET and POST of `/@faults`."""

from __future__ import annotations

import dataclasses
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from localgateway.request_bodies import TooLargeError, UnreadableError, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

PATH = "/@faults"
# The service that requests are signed for.
SERVICE = "localgateway"
_BODY_LIMIT = 10_000
# The most that the faults may be that are times, in ms and s. All others are shares.
MOST = {"dynamodb_lag": 60_000, "shuffle_messages": 3_600}


async def serve_faults(faults: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Change the fields of a dataclass by a JSON object of numbers, and answer with all of them."""
    request = Request(scope, receive)
    try:
        shown = change(faults, json.loads(await read(request, _BODY_LIMIT) or b"{}"))
        response = JSONResponse(shown)
    except (AttributeError, RecursionError, ValueError) as error:
        response = JSONResponse({"message": str(error)}, HTTPStatus.BAD_REQUEST)
    except (TooLargeError, UnreadableError) as error:
        # The unread rest of a body would otherwise be parsed as the next request.
        close = {"Connection": "close"}
        response = JSONResponse({"message": str(error)}, HTTPStatus.BAD_REQUEST, close)
    await response(scope, receive, send)


def change(faults: Any, wanted: Mapping[str, Any]) -> dict[str, float]:
    """Change fields of a dataclass and return all of them; raise `ValueError` for a wrong one."""
    names = [field.name for field in dataclasses.fields(faults)]
    for name, value in wanted.items():
        if name not in names:
            raise ValueError(f"{name} is {value!r}; expected numbers for {', '.join(names)}")
        most = MOST.get(name, 1)
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise ValueError(f"{name} is {value!r}; expected a number from 0 to {most}")
    for name, value in wanted.items():
        setattr(faults, name, float(value))
    return dataclasses.asdict(faults)
