"""Signing and TLS, as AWS's runtime does them."""

from __future__ import annotations

import ipaddress
import itertools
import queue
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from awscrt import io as network  # type: ignore[import-untyped] # has no types
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.fanout.signatures import Received, is_valid
from chalicelib.adapters.connections_api import pooled_connection as lanes
from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.pooled_connection import PooledConnection
from chalicelib.adapters.connections_api.signing import Signer
from tests.chalicelib.conftest import Answer, ConnectionsApi, Fault, Server, handler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret")
LONG = 30.0  # s; a test that waits for it has failed


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Write a certificate of localhost that has signed itself, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[ConnectionsApi]:
    """Serve a `@connections` API over TLS."""
    state = ConnectionsApi()
    server = Server(("127.0.0.1", 0), handler(state))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    state.url = f"https://localhost:{server.server_address[1]}/dev"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    state.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def reply_to(call: Call, url: str) -> Reply:
    """Carry one call on a lane of its own."""
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", url)
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    lane = PooledConnection(endpoint, LONG)
    lane.send(Signer(endpoint, CREDENTIALS).sign(call), replies.put)
    reply = replies.get(timeout=LONG)
    lane.close()
    return reply


def test_a_certificate_that_is_trusted_is_spoken_with(
    secure: ConnectionsApi, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go over TLS, signed for the host as it is named there."""
    options = network.TlsContextOptions()
    options.override_default_trust_store_from_path(ca_filepath=str(certificate))
    context = network.ClientTlsContext(options)
    monkeypatch.setattr(lanes, "_tls_context", lambda: context)

    reply = reply_to(Call("POST", "L0SM9cOFvHcCIhw=", b"{}"), secure.url)

    assert reply.status == 200
    assert is_valid(secure.received[0], CREDENTIALS, scheme="https")


def test_a_server_that_is_not_trusted_is_sent_nothing(secure: ConnectionsApi) -> None:
    """Without the test's own trust store, no connection to it comes about."""
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", secure.url)
    replies: list[Reply] = []

    # the runtime delays the failure of a handshake by up to 30 s, against timing attacks
    ConnectionsApiClient(endpoint, CREDENTIALS, timeout=1.0).send_all(
        [Call("POST", "L0SM9cOFvHcCIhw=", b"{}")],
        lambda _, reply: replies.append(reply),
        time.monotonic() + LONG,
    )

    assert [(reply.status, reply.sent) for reply in replies] == [(None, False)]
    assert secure.received == []


def test_a_host_without_an_address_is_named_as_such() -> None:
    """A wrong region or API id shows in the error."""
    reply = reply_to(Call("GET", "x"), "http://a1.execute-api.invalid/dev")

    assert (reply.status, reply.sent) == (None, False)
    assert "DNS" in reply.error


def test_a_lane_that_was_closed_gives_no_reply(api: ConnectionsApi) -> None:
    """A request that is cut off is not sent again."""
    # GIVEN a request that hangs on a connection that was used before
    turns = itertools.count()
    arrived = threading.Event()

    def behave(_: Received) -> Answer | Fault:
        if next(turns) == 0:
            return Answer()
        arrived.set()
        return "hang"

    api.behave = behave
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    signer = Signer(endpoint, CREDENTIALS)
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    lane = PooledConnection(endpoint, LONG)
    lane.send(signer.sign(Call("POST", "first", b"1")), replies.put)
    assert replies.get(timeout=LONG).status == 200
    lane.send(signer.sign(Call("POST", "hung", b"2")), replies.put)
    assert arrived.wait(LONG)

    # WHEN the lane is closed
    lane.close()

    # THEN the request was sent once
    assert replies.get(timeout=LONG).status is None
    assert [request.body for request in api.received] == [b"1", b"2"]


def test_python_keeps_its_state_of_the_runtimes_thread(api: ConnectionsApi) -> None:
    """What a callback leaves to its thread is there at the next: the state was not made anew."""
    endpoint = Endpoint.of("a1", "eu-west-1", "dev", api.url)
    signer = Signer(endpoint, CREDENTIALS)
    lane = PooledConnection(endpoint, LONG)
    own = threading.local()
    counted: queue.SimpleQueue[int] = queue.SimpleQueue()

    def count(_: Reply) -> None:
        own.count = getattr(own, "count", 0) + 1
        counted.put(own.count)

    for _ in range(3):
        lane.send(signer.sign(Call("GET", "x")), count)
        last = counted.get(timeout=LONG)
    lane.close()

    assert last == 3


def test_credentials_that_expire_are_renewed_between_requests(
    api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that outlives its credentials goes on with the new ones."""
    # GIVEN credentials of which each renewal has another key, and is soon to be renewed
    keys = (f"AKID{number}" for number in itertools.count())

    def renew() -> dict[str, str]:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        return {
            "access_key": next(keys),
            "secret_key": "secret",
            "token": "token",
            "expiry_time": soon.isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(renew(), renew, "test")
    signer = Signer(Endpoint.of("a1", "eu-west-1", "dev", api.url), credentials)
    now = time.time()

    # WHEN requests are signed a second apart
    signed = []
    for seconds in range(3):
        monkeypatch.setattr(time, "time", lambda at=now + seconds: at)
        message = signer.sign(Call("GET", "x")).message
        signed.append(message.headers.get("Authorization").split("Credential=")[1].split("/")[0])

    # THEN each is signed with the key of its time
    assert signed == ["AKID1", "AKID2", "AKID3"]


def test_within_a_second_credentials_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signature is made with serves every request of the same second and body."""
    asked = []

    class Counted(Credentials):
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            asked.append(1)
            return super().get_frozen_credentials()

    signer = Signer(Endpoint.of("a1", "eu-west-1", "dev"), Counted("AKID", "secret"))
    monkeypatch.setattr(time, "time", lambda: 1731324924.5)

    for number in range(100):
        signer.sign(Call("POST", str(number), b"{}"))

    assert len(asked) == 1
