"""Bodies of `/@faults`, which change the faults while the gateway serves."""

import asyncio
import json
import re
from typing import Any

import pytest

from localgateway.api_gateway.faults import Faults
from localgateway.faults_api import serve_faults


def posted(faults: Faults, body: bytes) -> tuple[int, dict[str, Any], list[Any]]:
    """Post a body; return the status, the answer and its headers."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/@faults", "headers": []}
    asyncio.run(serve_faults(faults, scope, receive, send))
    start, answer = sent
    return start["status"], json.loads(answer["body"]), start["headers"]


def test_a_share_is_changed_and_all_are_shown() -> None:
    faults = Faults()

    status, shown, _ = posted(faults, b'{"drop_posts": 0.5}')

    assert (status, shown) == (200, {"drop_disconnects": 0.0, "drop_posts": 0.5})
    assert faults.drop_posts == 0.5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"drop_posts": 0.5, "colour": 1}', "colour is 1; expected numbers for drop_disconnects"),
        (b'{"drop_posts": true}', "drop_posts is True; expected numbers"),
        (b'{"drop_posts": NaN}', "drop_posts is nan; expected numbers"),
        (b'{"drop_posts": Infinity}', "drop_posts is inf; expected numbers"),
        (b'{"drop_posts": 1%s}' % (b"0" * 400), "drop_posts is 1000"),
        (b"[]", "'list' object has no attribute 'items'"),
        # Python 3.13 takes deeper JSON, and reads on to the end.
        (b"[" * 9_000, "maximum recursion depth|Expecting value"),
        (b"{", "Expecting property name"),
        (b" " * 20_000, "the body exceeds 10000 bytes"),
    ],
)
def test_another_body_changes_nothing_and_says_why(body: bytes, said: str) -> None:
    faults = Faults()

    status, shown, _ = posted(faults, body)

    assert (status, faults) == (400, Faults())
    assert re.search(said, shown["message"])


def test_the_socket_of_a_body_that_is_too_long_is_closed() -> None:
    """The unread rest would be parsed as the next request."""
    _, _, headers = posted(Faults(), b" " * 20_000)

    assert (b"connection", b"close") in headers
