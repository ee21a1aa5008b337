"""Shows and changes the faults while the gateway serves: GET and POST of `/@faults`."""

from __future__ import annotations

import dataclasses
import json
import math
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


async def serve_faults(faults: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Change the fields of a dataclass by a JSON object of shares, and answer with all of them."""
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
        if name not in names or not _is_number(value):
            raise ValueError(f"{name} is {value!r}; expected numbers for {', '.join(names)}")
    for name, value in wanted.items():
        setattr(faults, name, float(value))
    return dataclasses.asdict(faults)


def _is_number(value: object) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer over a double
        return False
