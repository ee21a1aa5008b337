"""The client of `@connections`, over real sockets."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from botocore.credentials import Credentials

from bench.fanout.signatures import is_valid
from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.retries import MAX_ATTEMPTS, backoff
from tests.support.connections_api import Answer, connection_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.fanout.signatures import Received
    from chalicelib.adapters.connections_api.calls import Retry
    from tests.support.connections_api import ConnectionsApi, Fault

    Send = Callable[..., dict[str, Reply]]

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "a session token/+=")
LONG = 30.0  # s; a test that waits for it has failed


@pytest.fixture
def send(api: ConnectionsApi) -> Send:
    """Return a function that sends calls and returns the reply to each connection."""

    def send(
        calls: Iterable[Call],
        *,
        concurrency: int = 8,
        timeout: float = LONG,
        retry: Retry | None = None,
    ) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}

        def on_reply(call: Call, reply: Reply) -> None:
            assert call.connection_id not in replies, "replied to twice"
            replies[call.connection_id] = reply

        endpoint = Endpoint.of("unused", "eu-west-1", "unused", api.url)
        client = ConnectionsApiClient(endpoint, CREDENTIALS, concurrency, timeout)
        deadline = time.monotonic() + timeout + LONG
        assert list(client.send_all(calls, on_reply, deadline, retry=retry)) == []
        return replies

    return send


def posts(count: int) -> Iterable[Call]:
    return (Call("POST", f"L0SM9cOF{number:03}=", b"{}") for number in range(count))


def at_once(reply: Reply, attempts: int) -> float | None:
    """Retry as in production, but without delay."""
    return backoff(reply, attempts, lambda *_: 0.001)


def test_a_reply_has_the_status_and_the_error_of_the_api(api: ConnectionsApi, send: Send) -> None:
    answers = {
        "ok": Answer(200, b'{"ConnectedAt": "2024-11-11T11:35:24Z"}'),
        "closed": Answer(204),
        "gone": Answer(410, error_type="GoneException"),
        "denied": Answer(403, b'{"message": "not authorized"}', "ForbiddenException"),
        "busy": Answer(429, b'{"message": "slow down"}', "LimitExceededException"),
        "down": Answer(503, b"x" * 5000),
    }
    api.behave = lambda request: answers[connection_of(request)]

    replies = send([Call("GET", name) for name in answers])

    assert {name: (reply.status, reply.error) for name, reply in replies.items()} == {
        "ok": (200, ""),
        "closed": (204, ""),
        "gone": (410, "GoneException"),
        "denied": (403, 'ForbiddenException {"message": "not authorized"}'),
        "busy": (429, 'LimitExceededException {"message": "slow down"}'),
        "down": (503, "x" * 1000),
    }
    assert all(reply.sent and 0 < reply.seconds < LONG for reply in replies.values())


def test_200_calls_with_8_in_flight_use_at_most_8_connections(
    api: ConnectionsApi, send: Send
) -> None:
    replies = send(posts(200), concurrency=8)

    assert len(replies) == len(api.received) == len(set(map(connection_of, api.received))) == 200
    assert 1 <= len(api.clients) <= 8
    assert all(is_valid(request, CREDENTIALS) for request in api.received)


def test_throttled_calls_are_retried_until_each_is_delivered_once(
    api: ConnectionsApi, send: Send
) -> None:
    attempts: Counter[str] = Counter()
    lock = threading.Lock()

    def behave(request: Received) -> Answer:
        with lock:
            attempts[connection_of(request)] += 1
            return Answer((429, 503, 200)[attempts[connection_of(request)] - 1])

    api.behave = behave

    replies = send(posts(50), retry=at_once)

    assert {reply.status for reply in replies.values()} == {200}
    assert Counter(attempts.values()) == {3: 50}


def test_a_call_that_stays_throttled_ends_with_its_last_reply(
    api: ConnectionsApi, send: Send
) -> None:
    api.behave = lambda request: Answer(429 if connection_of(request) == "stuck" else 200)

    replies = send([Call("POST", "stuck"), *posts(10)], retry=at_once)

    assert replies.pop("stuck").status == 429
    assert {reply.status for reply in replies.values()} == {200}
    assert Counter(map(connection_of, api.received))["stuck"] == MAX_ATTEMPTS


def test_a_request_that_hangs_times_out_once_and_delays_no_other(
    api: ConnectionsApi, send: Send
) -> None:
    api.behave = lambda request: "hang" if connection_of(request) == "hung" else Answer()

    replies = send([Call("POST", "hung"), *posts(50)], concurrency=2, timeout=1.0, retry=backoff)

    assert replies.pop("hung") == Reply(None, "no answer within 1 s", 1.0, sent=True)
    assert {reply.status for reply in replies.values()} == {200}
    assert [connection_of(request) for request in api.received].count("hung") == 1


def test_a_connection_that_closes_after_each_answer_loses_and_repeats_nothing(
    api: ConnectionsApi, send: Send
) -> None:
    api.behave = lambda _: Answer(closing=True)

    replies = send(posts(100), concurrency=4)

    assert {reply.status for reply in replies.values()} == {200}
    assert Counter(Counter(map(connection_of, api.received)).values()) == {1: 100}
    assert len(api.clients) == 100


def test_a_request_cut_on_a_used_connection_is_sent_once_more(
    api: ConnectionsApi, send: Send
) -> None:
    """It looks the same as a request that crossed with the close of an idle connection."""
    reactions: list[Answer | Fault] = [Answer(), "cut", Answer()]
    api.behave = lambda _: reactions.pop(0)

    replies = send([Call("POST", "first", b"1"), Call("POST", "second", b"2")], concurrency=1)

    assert {name: reply.status for name, reply in replies.items()} == {"first": 200, "second": 200}
    assert [request.body for request in api.received] == [b"1", b"2", b"2"]
    assert len(api.clients) == 2


def test_a_request_cut_on_a_new_connection_is_not_sent_again(
    api: ConnectionsApi, send: Send
) -> None:
    """The API may have carried it out."""
    api.behave = lambda request: "cut" if connection_of(request) == "cut" else Answer()

    replies = send([Call("POST", "cut"), Call("POST", "next")], concurrency=1, retry=backoff)

    assert (replies["cut"].status, replies["cut"].sent) == (None, True)
    assert replies["cut"].error
    assert replies["next"].status == 200
    assert [connection_of(request) for request in api.received] == ["cut", "next"]


def test_a_refused_connection_is_reported_as_not_sent() -> None:
    endpoint = Endpoint("http", "127.0.0.1", 1, "/dev", "eu-west-1")
    replies: list[Reply] = []

    ConnectionsApiClient(endpoint, CREDENTIALS).send_all(
        posts(3), lambda _, reply: replies.append(reply), time.monotonic() + LONG
    )

    assert [(reply.status, reply.sent) for reply in replies] == [(None, False)] * 3
    assert "REFUSED" in replies[0].error


def test_the_calls_not_started_by_the_deadline_are_returned(api: ConnectionsApi) -> None:
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    endless = (Call("POST", str(number)) for number in itertools.count())
    replied: set[int] = set()

    rest = ConnectionsApiClient(endpoint, CREDENTIALS, 4, timeout=1.0).send_all(
        endless, lambda call, _: replied.add(int(call.connection_id)), time.monotonic() + 1.3
    )

    assert replied == set(range(len(replied)))
    assert {int(connection_of(request)) for request in api.received} == replied
    assert next(rest).connection_id == str(len(replied))


def test_importing_the_client_does_not_import_the_c_runtime() -> None:
    """A `$connect` that closes no connection does not pay for the import."""
    code = (
        "import sys, chalicelib.adapters.connections_api.client; sys.exit('awscrt' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
