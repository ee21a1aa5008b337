"""Bodies of `/@faults`, which change the faults while the gateway serves."""

import asyncio
import json
import re
from typing import Any

import pytest

from localgateway.api_gateway.faults import Faults
from localgateway.aws import faults as aws_faults
from localgateway.faults_api import serve_faults


def posted(faults: Any, body: bytes) -> tuple[int, dict[str, Any], list[Any]]:
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
        (b'{"drop_posts": true}', "drop_posts is True; expected a number from 0 to 1"),
        (b'{"drop_posts": NaN}', "drop_posts is nan; expected a number from 0 to 1"),
        (b'{"drop_posts": Infinity}', "drop_posts is inf; expected a number from 0 to 1"),
        (b'{"drop_disconnects": 1, "drop_posts": 1.01}', "drop_posts is 1.01; expected a number"),
        (b'{"drop_disconnects": 1, "drop_posts": -0.5}', "drop_posts is -0.5; expected a number"),
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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"dynamodb_fail": 2}', "dynamodb_fail is 2; expected a number from 0 to 1"),
        ('{"dynamodb_lag": -1}', "dynamodb_lag is -1; expected a number from 0 to 60000"),
        ('{"dynamodb_lag": 60001}', "dynamodb_lag is 60001; expected a number from 0 to 60000"),
        ('{"repeat_messages": 7}', "repeat_messages is 7; expected a number from 0 to 1"),
        ('{"dynamodb_lag": 5, "shuffle_messages": 1e300}', "is 1e+300; expected a number from 0"),
    ],
)
def test_a_fault_of_the_embedded_aws_has_bounds_too(body: str, said: str) -> None:
    """A delay that no timer can wait for would lose the message."""
    faults = aws_faults.Faults()

    status, shown, _ = posted(faults, body.encode())

    assert (status, faults) == (400, aws_faults.Faults())
    assert said in shown["message"]


def test_the_longest_delays_are_accepted() -> None:
    faults = aws_faults.Faults()

    status, _, _ = posted(faults, b'{"dynamodb_lag": 60000, "shuffle_messages": 3600}')

    assert (status, faults) == (200, aws_faults.Faults(0, 60_000, 0, 3600))


def test_the_socket_of_a_body_that_is_too_long_is_closed() -> None:
    """The unread rest would be parsed as the next request."""
    _, _, headers = posted(Faults(), b" " * 20_000)

    assert (b"connection", b"close") in headers
