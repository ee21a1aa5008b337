"""Credentials do not enter the observer."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgateway.observer.masking import (
    MASK,
    is_secret,
    masked_event,
    masked_pairs,
    masked_protocols,
    masked_text,
)

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "name",
    [
        *("token", "access_token", "Authorization", "x-amz-security-token", "Cookie"),
        *("Set-Cookie", "x-api-key", "apiKey", "client_secret", "PASSWORD", "X-Amz-Signature"),
    ],
)
def test_a_name_of_a_credential_is_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["clientId", "Host", "User-Agent", "action", "keyboard"])
def test_another_name_is_none(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("offered", "shown"),
    [
        (f"bearer, {SECRET}", "bearer, ***"),
        (f"v1,Bearer,{SECRET},v2", "v1, Bearer, ***, v2"),
        ("v1, v2", "v1, v2"),
        ("bearer", "bearer"),
    ],
)
def test_the_subprotocol_after_bearer_is_masked(offered: str, shown: str) -> None:
    assert masked_protocols(offered) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"token": "%s", "a": "b"}', '{"token": "***", "a": "b"}'),
        ('{"tokens": ["%s", "x"], "a": 1}', '{"tokens": ["***"], "a": 1}'),
        ('{"Authorization":"Basic %s"}', '{"Authorization":"***"}'),
        (r'{"body": "{\"token\": \"a\\\"%s\"}"}', r'{"body": "{\"token\": \"***\"}"}'),
        ('{"token": "cut off %s', '{"token": "***"'),
        ('{"tokens": ["cut off %s', '{"tokens": ["***"]'),
        (r'{"body": "{\"tokens\": [\"%s\"]}"}', r'{"body": "{\"tokens\": [\"***\"]}"}'),
        ('{"token": 5, "secret": "%s"}', '{"token": 5, "secret": "***"}'),
        ("Authorization: Bearer %s, and more", "Authorization: Bearer ***, and more"),
        (f"the token {JWT} is expired", "the token *** is expired"),
        (rf'{{"text": "a\n{JWT}"}}', r'{"text": "a\n***"}'),
        ("eyJ.x.y and a token eyJa.b.c", "eyJ.x.y and a token eyJa.b.c"),
        ('{"token": ""}', '{"token": ""}'),
        ('{"clientId": "ada"}', '{"clientId": "ada"}'),
    ],
)
def test_a_credential_in_text_is_masked(text: str, shown: str) -> None:
    """In JSON, in JSON within JSON, in a text that was cut off, and by the form of a token."""
    given_text = text.replace("%s", SECRET)

    assert masked_text(given_text.encode()).decode() == shown


@pytest.mark.parametrize(
    "part",
    [
        *("token", "api_key", "eyJ", "a.eyJ", "eyJabcdef.", "bearer ", '"token":[', '"token":"'),
        *('"token"', '"token" ', r"token\\", r"\"token", r"\"token\":\"", '"token', "token "),
    ],
)
def test_a_long_text_is_masked_in_linear_time(part: str) -> None:
    """A message of 128 KB must not hold up the event loop: careless expressions take minutes."""
    text = (part * (128 * 1024 // len(part))).encode()
    ends = (b"", b'"', b" ", b"\\", b"]")
    started = time.thread_time()

    for end in ends:
        masked_text(b"token " + text + end)

    assert time.thread_time() - started < 5


@given(
    st.sampled_from(["token", "Authorization", "client_secret", "x-api-key"]),
    st.text(min_size=1),
    st.integers(0, 3),
)
def test_no_value_of_such_a_field_is_left_at_any_depth(name: str, value: str, depth: int) -> None:
    text = json.dumps({"before": 1, name: f"<{SECRET}{value}{SECRET}>", "after": 2})
    for _ in range(depth):
        text = json.dumps({"body": text})

    assert SECRET not in masked_text(text.encode()).decode()


def test_a_handshakes_event_is_masked_in_each_place() -> None:
    """Single and multiple values, of headers and of the query; the event itself stays as it is."""
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "Sec-WebSocket-Protocol": f"bearer, {SECRET}",
        "X-Custom": JWT,
        "Host": "x",
    }
    query = {"token": SECRET, "clientId": "ada"}
    event = {
        "headers": headers,
        "multiValueHeaders": {name: [value, value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "requestContext": {"connectionId": "abc="},
    }

    masked = masked_event(event)

    assert SECRET not in json.dumps(masked)
    assert JWT not in json.dumps(masked)
    assert masked["queryStringParameters"] == {"token": MASK, "clientId": "ada"}
    assert masked["headers"]["Host"] == "x"
    assert event["headers"] == headers
    masked["requestContext"]["authorizer"] = {}
    assert event["requestContext"] == {"connectionId": "abc="}


def test_the_last_of_several_parameters_is_shown() -> None:
    assert masked_pairs([("a", "1"), ("a", "2"), ("token", "x")]) == {"a": "2", "token": MASK}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"headers": {"Cookie": "a=b"}}, {"headers": {"Cookie": MASK}}),
        (
            {"requestContext": {}, "multiValueHeaders": {"Cookie": "a=b", "Host": ["h", 5]}},
            {"requestContext": {}, "multiValueHeaders": {"Cookie": MASK, "Host": ["h", 5]}},
        ),
        (
            {"queryStringParameters": {"token": [["a"]], "x": {"y": "z"}, "n": None}},
            {"queryStringParameters": {"token": [[MASK]], "x": MASK, "n": None}},
        ),
        ({"headers": None, "multiValueHeaders": []}, {"headers": None, "multiValueHeaders": []}),
    ],
)
def test_an_event_that_was_made_by_hand_is_masked(
    event: dict[str, Any], expected: dict[str, Any]
) -> None:
    """It may have one form of its headers only, and values of any form."""
    assert masked_event(event) == expected
