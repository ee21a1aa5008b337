"""The adapter of `@connections`, over real sockets."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.credentials import Credentials

from bench.fanout.signatures import is_valid
from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.retries import (
    FIRST_DELAY,
    MAX_ATTEMPTS,
    MAX_DELAY,
    backoff,
)
from tests.chalicelib.conftest import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.fanout.signatures import Received
    from chalicelib.adapters.connections_api.calls import Retry
    from tests.chalicelib.conftest import ConnectionsApi, Fault

    Carry = Callable[..., dict[str, Reply]]

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "a session token/+=")
LONG = 30.0  # s; a test that waits for it has failed


@pytest.fixture
def carry(api: ConnectionsApi) -> Carry:
    """Give a function that carries calls out and gives the reply to each connection."""

    def send_all(
        calls: Iterable[Call],
        *,
        concurrency: int = 8,
        timeout: float = LONG,
        rate: float | None = None,
        retry: Retry | None = None,
    ) -> dict[str, Reply]:
        endpoint = Endpoint.of("unused", "eu-west-1", "unused", api.url)
        replies: dict[str, Reply] = {}

        def on_reply(call: Call, reply: Reply) -> None:
            assert call.connection_id not in replies, "replied to twice"
            replies[call.connection_id] = reply

        deadline = time.monotonic() + timeout + LONG
        management = ConnectionsApiClient(endpoint, CREDENTIALS, concurrency, timeout)
        assert list(management.send_all(calls, on_reply, deadline, rate, retry)) == []
        return replies

    return send_all


def posts(count: int, body: bytes = b"{}") -> Iterable[Call]:
    """Give calls to `count` connections."""
    return (Call("POST", f"L0SM9cOF{number:03}=", body) for number in range(count))


def connection(request: Received) -> str:
    """Give the encoded id of the connection that a request is about."""
    return request.target.rpartition("/")[2]


@pytest.mark.parametrize(
    ("region", "url", "expected"),
    [
        ("eu-west-1", None, "https://a1.execute-api.eu-west-1.amazonaws.com:443/prod"),
        ("cn-north-1", None, "https://a1.execute-api.cn-north-1.amazonaws.com.cn:443/prod"),
        ("eu-west-1", "http://127.0.0.1:8765/dev", "http://127.0.0.1:8765/dev"),
        ("eu-west-1", "http://localhost/dev/", "http://localhost:80/dev"),
        ("eu-west-1", "https://ws.example.com", "https://ws.example.com:443"),
    ],
)
def test_an_endpoint_is_that_of_the_stage_or_the_given_one(
    region: str, url: str | None, expected: str
) -> None:
    """A row's API, region and stage make the address, unless an address is given."""
    endpoint = Endpoint.of("a1", region, "prod", url)

    made = f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}{endpoint.prefix}"
    assert made == expected
    assert endpoint.region == region


@pytest.mark.parametrize(
    "url", ["ftp://host/dev", "127.0.0.1:8765", "http:///dev", "http://h/?a=b", "http://h:x/"]
)
def test_an_address_that_is_none_is_named(url: str) -> None:
    """The error shows what was seen, and what is accepted where the address as such is wrong."""
    with pytest.raises(ValueError, match=r"endpoint is|Port"):
        Endpoint.of("a1", "eu-west-1", "prod", url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://ws.example.com", "ws.example.com"),
        ("http://ws.example.com:443", "ws.example.com:443"),
        ("http://[::1]:8765/dev", "[::1]:8765"),
    ],
)
def test_the_host_header_names_a_port_of_its_own(url: str, authority: str) -> None:
    """Host is signed, and a server compares it without the scheme's own port."""
    assert Endpoint.of("a1", "eu-west-1", "prod", url).authority == authority


@pytest.mark.parametrize(
    ("reply", "again"),
    [
        (Reply(200, "", 0.1), False),
        (Reply(403, "", 0.1), False),
        (Reply(410, "", 0.1), False),
        (Reply(413, "", 0.1), False),
        (Reply(429, "", 0.1), True),
        (Reply(500, "", 0.1), True),
        (Reply(503, "", 0.1), True),
        (Reply(None, "no answer", 3.0), False),
        (Reply(None, "connection refused", 0.1, sent=False), True),
    ],
)
def test_only_what_passes_is_tried_again(reply: Reply, again: bool) -> None:
    """Throttling, an error of the server and a connection not opened; never a sent message."""
    assert (backoff(reply, 1) is not None) is again


def test_delays_grow_have_full_jitter_and_end() -> None:
    """The upper bound doubles to a limit, the lower is 0, and the last try is final."""
    bounds: list[tuple[float, float]] = []

    def widest(least: float, most: float) -> float:
        bounds.append((least, most))
        return most

    delays = [backoff(Reply(429, "", 0.1), tries, widest) for tries in range(1, MAX_ATTEMPTS + 1)]

    *given, last = delays
    assert last is None
    assert given == [min(MAX_DELAY, FIRST_DELAY * 2**n) for n in range(MAX_ATTEMPTS - 1)]
    assert {least for least, _ in bounds} == {0}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("token", [None, "a session token/+="])
def test_requests_are_signed_as_botocore_signs_them(
    api: ConnectionsApi, method: str, token: str | None
) -> None:
    """Method, encoded path, body and session token are what botocore's own signer signs."""
    credentials = Credentials("AKIDEXAMPLE", "secret", token)
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    body = '{"message": "Störung ☂"}'.encode() if method == "POST" else b""
    call = Call(method, "L0SM9cOFvHcCIhw=", body)  # type: ignore[arg-type] # a parameter
    statuses = []

    ConnectionsApiClient(endpoint, credentials).send_all(
        [call], lambda _, reply: statuses.append(reply.status), time.monotonic() + LONG
    )

    (request,) = api.received
    assert statuses == [200]
    assert (request.method, request.body) == (method, body)
    assert request.target == "/dev/@connections/L0SM9cOFvHcCIhw%3D"
    assert is_valid(request, credentials)


@pytest.mark.parametrize("connection_id", ["L0SM9cOFvHcCIhw=", "a/b+c d%3D?#é", "..", "a//b"])
def test_any_connection_id_is_encoded_and_signed(
    api: ConnectionsApi, carry: Carry, connection_id: str
) -> None:
    """An id never becomes another path, and the double encoding of the signature fits."""
    carry([Call("GET", connection_id)])

    (request,) = api.received
    assert request.target.count("/") == 3
    assert "?" not in request.target
    assert is_valid(request, CREDENTIALS)


def test_the_check_of_signatures_sees_a_forgery(api: ConnectionsApi, carry: Carry) -> None:
    """Another secret, token, body, path or no signature at all is not valid."""
    carry(posts(1))
    (request,) = api.received

    assert is_valid(request, CREDENTIALS)
    assert not is_valid(request, Credentials("AKIDEXAMPLE", "guessed", CREDENTIALS.token))
    assert not is_valid(request, Credentials("AKIDEXAMPLE", "secret", "another token"))
    assert not is_valid(replace(request, body=b"[]"), CREDENTIALS)
    assert not is_valid(replace(request, target="/dev/@connections/other"), CREDENTIALS)
    assert not is_valid(replace(request, headers={"host": "127.0.0.1"}), CREDENTIALS)


def test_each_status_is_replied_with_what_the_api_said(api: ConnectionsApi, carry: Carry) -> None:
    """The status is the API's, and an error carries its type and message."""
    answers = {
        "ok": Answer(200, b'{"ConnectedAt": "2024-11-11T11:35:24Z"}'),
        "closed": Answer(204),
        "gone": Answer(410, error_type="GoneException"),
        "denied": Answer(403, b'{"message": "not authorized"}', "ForbiddenException"),
        "busy": Answer(429, b'{"message": "slow down"}', "LimitExceededException"),
        "down": Answer(503, b"x" * 5000),
    }
    api.behave = lambda request: answers[connection(request)]

    replies = carry([Call("GET", name) for name in answers])

    assert {name: reply.status for name, reply in replies.items()} == {
        name: answer.status for name, answer in answers.items()
    }
    assert (replies["ok"].error, replies["closed"].error) == ("", "")
    assert replies["gone"].error == "GoneException"
    assert replies["denied"].error == 'ForbiddenException {"message": "not authorized"}'
    assert len(replies["down"].error) == 1000
    assert all(reply.sent and 0 < reply.seconds < LONG for reply in replies.values())


def test_the_largest_message_arrives_whole(api: ConnectionsApi, carry: Carry) -> None:
    """128 KB, the most that API Gateway takes, are sent and signed as they are."""
    body = bytes(range(256)) * 512

    carry([Call("POST", "L0SM9cOFvHcCIhw=", body)])

    assert api.received[0].body == body
    assert is_valid(api.received[0], CREDENTIALS)


def test_no_more_connections_are_opened_than_requests_at_once(
    api: ConnectionsApi, carry: Carry
) -> None:
    """Connections are kept alive: 200 calls, each made once, use no more than 8."""
    replies = carry(posts(200), concurrency=8)

    assert len(replies) == len(api.received) == len(set(map(connection, api.received))) == 200
    assert 1 <= len(api.clients) <= 8
    assert all(is_valid(request, CREDENTIALS) for request in api.received)


def test_refused_calls_are_tried_again_until_they_are_delivered(
    api: ConnectionsApi, carry: Carry
) -> None:
    """A burst of 429 and 503 loses nothing, and nothing is delivered twice."""
    tries: Counter[str] = Counter()
    lock = threading.Lock()

    def behave(request: Received) -> Answer:
        with lock:
            tries[connection(request)] += 1
            return Answer((429, 503, 200)[tries[connection(request)] - 1])

    api.behave = behave

    replies = carry(posts(50), retry=lambda reply, tries: backoff(reply, tries, lambda *_: 0.001))

    assert {reply.status for reply in replies.values()} == {200}
    assert set(tries.values()) == {3}
    assert len(tries) == 50


def test_a_call_that_stays_refused_ends_with_its_last_reply(
    api: ConnectionsApi, carry: Carry
) -> None:
    """It is replied to once, after the tries that the policy allows; the others are delivered."""

    def behave(request: Received) -> Answer:
        return Answer(429 if connection(request).startswith("stuck") else 200)

    api.behave = behave
    calls = [Call("POST", "stuck"), *posts(10)]

    replies = carry(calls, retry=lambda reply, tries: backoff(reply, tries, lambda *_: 0.001))

    assert replies.pop("stuck").status == 429
    assert {reply.status for reply in replies.values()} == {200}
    assert Counter(map(connection, api.received))["stuck"] == MAX_ATTEMPTS


def test_a_request_that_hangs_is_timed_out_alone(api: ConnectionsApi, carry: Carry) -> None:
    """The other calls go on meanwhile, and it is not sent again."""
    api.behave = lambda request: "hang" if connection(request) == "hung" else Answer()
    calls = [Call("POST", "hung"), *posts(50)]

    replies = carry(calls, concurrency=2, timeout=1.0, retry=backoff)

    hung = replies.pop("hung")
    assert hung == Reply(None, "no answer within 1 s", 1.0, sent=True)
    assert {reply.status for reply in replies.values()} == {200}
    assert [connection(request) for request in api.received].count("hung") == 1


def test_a_connection_closed_between_requests_loses_and_doubles_nothing(
    api: ConnectionsApi, carry: Carry
) -> None:
    """The API closes each connection after an answer without saying so; every call is made."""
    api.behave = lambda _: Answer(closing=True)

    replies = carry(posts(100), concurrency=4)

    assert {reply.status for reply in replies.values()} == {200}
    assert Counter(Counter(map(connection, api.received)).values()) == {1: 100}
    assert len(api.clients) == 100


def test_a_request_cut_on_a_used_connection_is_sent_once_more(
    api: ConnectionsApi, carry: Carry
) -> None:
    """It cannot be told from one that crossed with the closing of an idle connection."""
    turns = itertools.count()
    behaviours: list[Answer | Fault] = [Answer(), "cut", Answer()]
    api.behave = lambda _: behaviours[next(turns)]

    replies = carry([Call("POST", "first", b"1"), Call("POST", "second", b"2")], concurrency=1)

    assert {name: reply.status for name, reply in replies.items()} == {"first": 200, "second": 200}
    assert [request.body for request in api.received] == [b"1", b"2", b"2"]
    assert len(api.clients) == 2


def test_a_request_cut_on_a_new_connection_has_no_answer(api: ConnectionsApi, carry: Carry) -> None:
    """It may have been carried out, so it is not sent again; the next call is not touched."""
    api.behave = lambda request: "cut" if connection(request) == "cut" else Answer()

    replies = carry([Call("POST", "cut"), Call("POST", "next")], concurrency=1, retry=backoff)

    assert (replies["cut"].status, replies["cut"].sent) == (None, True)
    assert replies["cut"].error
    assert replies["next"].status == 200
    assert [connection(request) for request in api.received] == ["cut", "next"]


def test_where_nobody_listens_nothing_was_sent(api: ConnectionsApi) -> None:
    """A call that the API cannot have seen says so, and why."""
    endpoint = Endpoint("http", "127.0.0.1", 1, "/dev", "eu-west-1")
    replies: list[Reply] = []

    ConnectionsApiClient(endpoint, CREDENTIALS).send_all(
        posts(3), lambda _, reply: replies.append(reply), time.monotonic() + LONG
    )

    assert [(reply.status, reply.sent) for reply in replies] == [(None, False)] * 3
    assert "REFUSED" in replies[0].error
    assert api.received == []


def test_when_time_is_up_the_calls_not_begun_are_given_back(api: ConnectionsApi) -> None:
    """What was begun is replied to, what was not is in the rest, and nothing is in both."""
    # GIVEN an API that answers until the test has seen enough, and endless calls
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    calls = (Call("POST", str(number)) for number in itertools.count())
    replied: set[int] = set()

    # WHEN they are carried out for a while
    rest = ConnectionsApiClient(endpoint, CREDENTIALS, 4, timeout=1.0).send_all(
        calls, lambda call, _: replied.add(int(call.connection_id)), time.monotonic() + 1.3
    )

    # THEN the rest begins where the run ended
    assert replied == set(range(len(replied)))
    assert {int(connection(request)) for request in api.received} == replied
    assert next(rest).connection_id == str(len(replied))


def test_importing_the_adapter_does_not_import_the_runtime() -> None:
    """A `$connect` that closes nobody's connection does not pay for it."""
    code = (
        "import sys, chalicelib.adapters.connections_api.client; sys.exit('awscrt' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
