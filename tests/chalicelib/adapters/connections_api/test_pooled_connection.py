"""One connection of AWS's C runtime: TLS, failures to connect, threads."""

from __future__ import annotations

import ipaddress
import itertools
import queue
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import _awscrt  # type: ignore[import-not-found] # has no types
import pytest
from awscrt import io as network  # type: ignore[import-untyped] # has no types
from awscrt.exceptions import AwsCrtError  # type: ignore[import-untyped] # same
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.fanout.signatures import Received, is_valid
from chalicelib.adapters.connections_api import pooled_connection
from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.pooled_connection import PooledConnection
from chalicelib.adapters.connections_api.signing import Signer
from tests.support.connections_api import Answer, ConnectionsApi, Fault, connections_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret")
LONG = 30.0  # s; a test that waits for it has failed


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Write a self-signed certificate of localhost, and its key beside it."""
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
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(signed.public_bytes(pem))
    path.with_suffix(".key").write_bytes(private)
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[ConnectionsApi]:
    """Serve a `@connections` API over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with connections_api(context) as api:
        yield api


class Sender:
    """A pooled connection to `url` that waits for each reply."""

    def __init__(self, url: str) -> None:
        endpoint = Endpoint.of("a1", "eu-west-1", "dev", url)
        self.connection = PooledConnection(endpoint, LONG)
        self._sign = Signer(endpoint, CREDENTIALS).sign
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()

    def start(self, call: Call, done: Callable[[Reply], None] | None = None) -> None:
        self.connection.send(self._sign(call), done or self._replies.put)

    def reply(self) -> Reply:
        return self._replies.get(timeout=LONG)


def test_a_trusted_certificate_is_accepted_and_the_host_is_signed(
    secure: ConnectionsApi, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = network.TlsContextOptions()
    options.override_default_trust_store_from_path(ca_filepath=str(certificate))
    context = network.ClientTlsContext(options)
    monkeypatch.setattr(pooled_connection, "_tls_context", lambda: context)
    sender = Sender(secure.url)

    sender.start(Call("POST", "L0SM9cOFvHcCIhw=", b"{}"))

    assert sender.reply().status == 200
    assert is_valid(secure.received[0], CREDENTIALS, scheme="https")
    sender.connection.close()


def test_a_server_that_is_not_trusted_receives_nothing(secure: ConnectionsApi) -> None:
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


def test_a_host_without_an_address_is_a_dns_error() -> None:
    """So a wrong region or API id shows in the error."""
    sender = Sender("http://a1.execute-api.invalid/dev")

    sender.start(Call("GET", "x"))

    reply = sender.reply()
    assert (reply.status, reply.sent) == (None, False)
    assert "DNS" in reply.error


def test_a_request_aborted_by_close_is_not_sent_again(api: ConnectionsApi) -> None:
    """Not even on a connection that was used before."""
    turns = itertools.count()
    arrived = threading.Event()

    def hang_on_the_second(_: Received) -> Answer | Fault:
        if next(turns) == 0:
            return Answer()
        arrived.set()
        return "hang"

    api.behave = hang_on_the_second
    sender = Sender(api.url)
    sender.start(Call("POST", "first", b"1"))
    assert sender.reply().status == 200
    sender.start(Call("POST", "hung", b"2"))
    assert arrived.wait(LONG)

    sender.connection.close()

    assert sender.reply().status is None
    assert [request.body for request in api.received] == [b"1", b"2"]


@pytest.mark.parametrize("error", [RuntimeError("2058"), AwsCrtError(2058, "CLOSED", "closed")])
def test_a_request_that_meets_a_closing_connection_is_sent_on_a_new_one(
    api: ConnectionsApi, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime raises both errors."""
    errors = [error]
    activate = _awscrt.http_client_stream_activate

    def closing(exchange: object) -> None:
        if errors:
            raise errors.pop()
        activate(exchange)

    sender = Sender(api.url)
    sender.start(Call("POST", "first", b"1"))
    assert sender.reply().status == 200
    monkeypatch.setattr(_awscrt, "http_client_stream_activate", closing)

    sender.start(Call("POST", "second", b"2"))

    assert sender.reply().status == 200
    assert errors == []
    assert [request.body for request in api.received] == [b"1", b"2"]
    assert len(api.clients) == 2
    sender.connection.close()


def test_a_request_is_spare_only_after_its_reply(api: ConnectionsApi) -> None:
    """The runtime still reads one that has not been replied to."""
    sender = Sender(api.url)
    assert sender.connection.spare is None

    sender.start(Call("POST", "x", b"1"))

    assert sender.reply().status == 200
    spare = sender.connection.spare
    assert spare is not None
    assert spare.body == b"1"
    sender.connection.close()


def test_callbacks_keep_the_thread_state_of_python(api: ConnectionsApi) -> None:
    """A thread-local value that one callback sets is there for the next."""
    own = threading.local()
    counted: queue.SimpleQueue[int] = queue.SimpleQueue()

    def count(_: Reply) -> None:
        own.count = getattr(own, "count", 0) + 1
        counted.put(own.count)

    sender = Sender(api.url)
    for number in range(1, 4):
        sender.start(Call("GET", "x"), count)
        assert counted.get(timeout=LONG) == number
    sender.connection.close()
