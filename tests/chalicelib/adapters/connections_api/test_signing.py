"""Signatures of AWS's C runtime, compared with those of botocore's own signer."""

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from bench.fanout.signatures import Received, is_valid
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.signing import Signer
from tests.support.connections_api import ConnectionsApi

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "a session token/+=")
CALLS = [
    Call("GET", "L0SM9cOFvHcCIhw="),
    Call("POST", "L0SM9cOFvHcCIhw=", '{"message": "Störung ☂"}'.encode()),
    Call("POST", "L0SM9cOFvHcCIhw=", bytes(range(256)) * 512),  # API Gateway's largest message
    Call("DELETE", "L0SM9cOFvHcCIhw="),
    *(Call("GET", connection_id) for connection_id in ("a/b+c d%3D?#é", "..", "a//b")),
]


def received(api: ConnectionsApi, call: Call, credentials: Credentials = CREDENTIALS) -> Received:
    """Send a call and return the request that the API receives."""
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    client = ConnectionsApiClient(endpoint, credentials)
    client.send_all([call], lambda *_: None, time.monotonic() + 30)
    [request] = api.received
    return request


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.connection_id}")
@pytest.mark.parametrize("token", [None, "a session token/+="])
def test_requests_are_signed_as_botocore_signs_them(
    api: ConnectionsApi, call: Call, token: str | None
) -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret", token)

    request = received(api, call, credentials)

    assert (request.method, request.body) == (call.method, call.body)
    assert is_valid(request, credentials)
    # an id never becomes another path or a query
    assert request.target.count("/") == 3
    assert "?" not in request.target


def test_the_check_of_signatures_detects_a_forgery(api: ConnectionsApi) -> None:
    request = received(api, Call("POST", "id=", b"{}"))

    assert is_valid(request, CREDENTIALS)
    assert not is_valid(request, Credentials("AKIDEXAMPLE", "guessed", CREDENTIALS.token))
    assert not is_valid(request, Credentials("AKIDEXAMPLE", "secret", "another token"))
    assert not is_valid(replace(request, body=b"[]"), CREDENTIALS)
    assert not is_valid(replace(request, target="/dev/@connections/other"), CREDENTIALS)
    assert not is_valid(replace(request, headers={"host": "127.0.0.1"}), CREDENTIALS)


def test_expired_credentials_are_replaced_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = (f"AKID{number}" for number in itertools.count())

    def renew() -> dict[str, str]:
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        return {"access_key": next(keys), "secret_key": "s", "token": "t", "expiry_time": soon}

    credentials = RefreshableCredentials.create_from_metadata(renew(), renew, "test")
    signer = Signer(Endpoint.of("a1", "eu-west-1", "dev"), credentials)
    now = time.time()

    signed = []
    for seconds in range(3):
        monkeypatch.setattr(time, "time", lambda at=now + seconds: at)
        message = signer.sign(Call("GET", "x")).message
        signed.append(message.headers.get("Authorization").split("Credential=")[1].split("/")[0])

    assert signed == ["AKID1", "AKID2", "AKID3"]


def test_credentials_are_read_once_a_second_for_the_same_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = []

    class Counted(Credentials):
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            read.append(1)
            return super().get_frozen_credentials()

    signer = Signer(Endpoint.of("a1", "eu-west-1", "dev"), Counted("AKID", "secret"))
    monkeypatch.setattr(time, "time", lambda: 1731324924.5)

    for number in range(100):
        signer.sign(Call("POST", str(number), b"{}"))

    assert len(read) == 1


@pytest.mark.parametrize(
    ("before", "after", "reused"),
    [
        (Call("POST", "a=", b"{}"), Call("POST", "b=", b"{}"), True),
        (Call("GET", "a="), Call("GET", "b="), True),
        (Call("POST", "a=", b"{}"), Call("POST", "b=", b"[1]"), False),
        (Call("POST", "a=", b"{}"), Call("GET", "b="), False),
        (Call("GET", "a="), Call("DELETE", "b="), False),
    ],
)
def test_a_spare_request_is_signed_again_for_the_same_method_and_body(
    before: Call, after: Call, *, reused: bool
) -> None:
    signer = Signer(Endpoint.of("a1", "eu-west-1", "dev"), CREDENTIALS)
    spare = signer.sign(before)
    if spare.stream:
        spare.stream.read()  # as the runtime does

    request = signer.sign(after, spare)

    assert (request.message is spare.message) == reused
    headers = {name.lower(): value for name, value in request.message.headers}
    assert len(list(request.message.headers)) == len(headers)
    body = request.stream.read() if request.stream else b""
    assert (request.message.method, body) == (after.method, after.body)
    sent = Received(after.method, request.message.path, headers, body)
    assert is_valid(sent, CREDENTIALS, scheme="https")
    assert request.message.path.endswith("/b%3D")


def test_200_posts_over_few_connections_are_each_signed_for_their_own_id(
    api: ConnectionsApi,
) -> None:
    """Also those whose request was used before, for another connection or another body."""
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    calls = [Call("POST", f"{n}=", b"even" if n % 2 == 0 else b"odd, longer") for n in range(200)]

    ConnectionsApiClient(endpoint, CREDENTIALS, 4).send_all(
        calls, lambda *_: None, time.monotonic() + 30
    )

    assert all(is_valid(request, CREDENTIALS) for request in api.received)
    sent = {request.target.rpartition("/")[2]: request.body for request in api.received}
    assert sent == {f"{call.connection_id[:-1]}%3D": call.body for call in calls}
