"""Who may connect, seen by real clients through the local gateway, with a real key server."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.conftest import ROOT, TABLE
from tests.support.issuer import AUDIENCE, Issuer, ec_key, issuing, rsa_key, signed

DASHBOARD = "https://dashboard.example.com"
PATIENCE_S = 60


@dataclass
class Gateway:
    """A local gateway that serves a copy of the project; `lines` are what it has printed."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        """Collect what is printed, to the end."""
        assert self.process.stdout
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait(self, wanted: Callable[[str], object]) -> str:
        """Wait for a line that is wanted, and give it."""
        with self.news:
            found = self.news.wait_for(lambda: any(map(wanted, self.lines)), timeout=PATIENCE_S)
            assert found, "".join(self.lines)
            return next(filter(wanted, self.lines))

    @property
    def address(self) -> str:
        """Give the address that clients connect to."""
        return self._printed(r"(ws://\S+)")

    def rows(self) -> dict[str, dict[str, Any]]:
        """Give the table's rows by their `clientId`."""
        client = boto3.client(
            "dynamodb", endpoint_url=self._printed(r"DynamoDB\s+(\S+)"), region_name="us-east-1"
        )
        items = client.scan(TableName=TABLE, ConsistentRead=True)["Items"]
        return {item["clientId"]["S"]: item for item in items if "clientId" in item}

    def refusals(self, cause: str) -> list[dict[str, Any]]:
        """Give the lines that tell of handshakes refused for a cause."""
        told = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in told if line["message"] == "refused" and line["cause"] == cause]

    def _printed(self, pattern: str) -> str:
        line = self.wait(lambda line: re.search(pattern, line))
        match = re.search(pattern, line)
        assert match
        return match[1]

    def client(self, query: str = "", **options: Any) -> ClientConnection:
        """Connect a client; raises `InvalidStatus` when the handshake is refused."""
        client: ClientConnection = connect(self.address + query, open_timeout=PATIENCE_S, **options)
        return client

    def refused(self, query: str = "", **options: Any) -> tuple[int, str]:
        """Try to connect a client, and give status and body of the refusal."""
        with pytest.raises(InvalidStatus) as caught, self.client(query, **options):
            pass
        response = caught.value.response
        return response.status_code, bytes(response.body or b"").decode()


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Gateway]:
    """Serve a copy of the project whose stage `dev` has these settings too."""
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", folder)
    path = folder / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["dev"]["environment_variables"] |= environment
    path.write_text(json.dumps(config))
    command = [sys.executable, "-u", "-m", "localgateway", "--project", str(folder), "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        gateway = Gateway(process)
        reader = threading.Thread(target=gateway.read)
        reader.start()
        try:
            gateway.wait(lambda line: "Ctrl+C" in line)
            yield gateway
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=PATIENCE_S)
            reader.join()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Run one issuer of tokens for all tests."""
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def secrets() -> list[str]:
    """Give the list of all tokens that tests have sent."""
    return []


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, secrets: list[str]
) -> Iterator[Gateway]:
    """Serve with tokens of `issuer` and one origin; in the end, no token has been printed."""
    with serving(
        tmp_path_factory.mktemp("guarded"),
        AUTH_ISSUER=issuer.url,
        AUTH_AUDIENCE=AUDIENCE,
        ALLOWED_ORIGINS=DASHBOARD,
    ) as gateway:
        yield gateway
    printed = "".join(gateway.lines)
    assert '"message": "connected"' in printed
    assert '"message": "refused"' in printed
    for token in secrets:
        for part in (token, *token.split(".")[1:]):
            assert not part or part not in printed


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve with the project's own settings."""
    with serving(tmp_path_factory.mktemp("open")) as gateway:
        yield gateway


def in_header(token: str) -> tuple[str, dict[str, Any]]:
    """Send a token as other back ends do."""
    return "", {"additional_headers": {"Authorization": f"Bearer {token}"}}


def in_subprotocol(token: str) -> tuple[str, dict[str, Any]]:
    """Send a token as a browser can, with the origin that a browser sends."""
    offered = [Subprotocol("bearer"), Subprotocol(token)]
    return "", {"subprotocols": offered, "origin": Origin(DASHBOARD)}


def in_parameter(token: str) -> tuple[str, dict[str, Any]]:
    """Send a token in the address."""
    return f"?token={token}", {}


PLACES = [in_header, in_subprotocol, in_parameter]
Cursor = Callable[[str], tuple[str, dict[str, Any]]]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_a_good_token_connects_as_its_subject(
    guarded: Gateway, issuer: Issuer, secrets: list[str], place: Cursor, key: Any
) -> None:
    """The row has the subject; the answer selects `bearer`, and only where it was offered."""
    subject = f"{place.__name__}@{key.algorithm}"
    token = issuer.token(key, sub=subject)
    secrets.append(token)
    query, options = place(token)

    with guarded.client(query, **options) as client:
        assert client.response
        assert client.response.status_code == 101
        assert client.subprotocol == ("bearer" if place is in_subprotocol else None)
        row = guarded.rows()[subject]

    assert row["knownClientId"] == {"S": subject}
    assert token not in json.dumps(row)


def unsigned(issuer: Issuer) -> str:
    """Write a token with the algorithm `none`."""
    head, payload, _ = issuer.token().split(".")
    assert head
    return f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."


BAD: dict[str, Callable[[Issuer], str]] = {
    "ExpiredSignatureError": lambda issuer: issuer.token(exp=1),
    "ImmatureSignatureError": lambda issuer: issuer.token(nbf=4102444800),
    "InvalidAudienceError": lambda issuer: issuer.token(aud="another-application"),
    "InvalidIssuerError": lambda issuer: issuer.token(iss="https://evil.example.com"),
    "InvalidSignatureError": lambda issuer: signed(
        issuer.claims(sub="forged"), rsa_key("thief"), kid="rsa-1"
    ),
    "unknown key id (kid)": lambda issuer: issuer.token(rsa_key("thief")),
    "the algorithm (alg) is not one of RS256, ES256": unsigned,
    "DecodeError": lambda _: "no-token",
}


@pytest.mark.parametrize("check", BAD)
@pytest.mark.parametrize("place", PLACES)
def test_a_bad_token_is_unauthorized(
    guarded: Gateway, issuer: Issuer, secrets: list[str], place: Cursor, check: str
) -> None:
    """All of them with the same answer; which check failed is in the log alone."""
    token = BAD[check](issuer)
    secrets.append(token)
    known = len(guarded.refusals("bad_token"))
    query, options = place(token)

    assert guarded.refused(query, **options) == (401, "Unauthorized")
    with guarded.news:
        assert guarded.news.wait_for(
            lambda: len(guarded.refusals("bad_token")) > known, timeout=PATIENCE_S
        )
    assert check in guarded.refusals("bad_token")[known]["detail"]


def test_no_token_is_unauthorized(guarded: Gateway) -> None:
    """A clientId does not help, and leaves no row."""
    assert guarded.refused() == (401, "Unauthorized")
    assert guarded.refused("?clientId=mallory") == (401, "Unauthorized")
    assert "mallory" not in guarded.rows()


@pytest.mark.parametrize(
    ("client_id", "answer"), [("bob", (403, "Forbidden")), ("carol%00", None), ("carol", 101)]
)
def test_the_client_id_has_to_be_the_subject(
    guarded: Gateway, issuer: Issuer, secrets: list[str], client_id: str, answer: Any
) -> None:
    """Another is forbidden, a malformed one a bad request."""
    token = issuer.token(sub="carol")
    secrets.append(token)
    query = f"?token={token}&clientId={client_id}"

    if answer == 101:
        with guarded.client(query):
            assert "carol" in guarded.rows()
        return
    status, body = guarded.refused(query)
    assert (status, body) == answer if answer else status == 400
    assert client_id not in guarded.rows()


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://dashboard.example.com"]
)
def test_a_page_of_another_origin_is_forbidden(
    guarded: Gateway, issuer: Issuer, secrets: list[str], origin: str
) -> None:
    """Even with a good token."""
    token = issuer.token(sub="hijacked")
    secrets.append(token)
    query, options = in_subprotocol(token)

    assert guarded.refused(query, **options | {"origin": Origin(origin)}) == (403, "Forbidden")
    assert "hijacked" not in guarded.rows()


def test_keys_are_fetched_once_by_each_execution_environment(
    guarded: Gateway, issuer: Issuer, secrets: list[str]
) -> None:
    """However many clients come one after the other."""
    secrets += [issuer.token(sub=f"client-{n}") for n in range(5)]
    with guarded.client(f"?token={secrets[-1]}"):
        known = len(issuer.asked)

    for token in secrets[-5:]:
        with guarded.client(f"?token={token}"):
            pass

    assert 1 <= len(issuer.asked) == known


def test_an_issuer_that_cannot_be_reached_makes_the_service_unavailable(
    tmp_path: Path, issuer: Issuer
) -> None:
    """The handshake is refused in time, with the cause in the log."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"
    token = issuer.token()
    settings = {"AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE, "AUTH_JWKS_URL": nobody}

    with serving(tmp_path, **settings) as gateway:
        assert gateway.refused(f"?token={token}") == (503, "Service unavailable")
        assert gateway.refused() == (401, "Unauthorized")
        gateway.wait(lambda line: '"no_keys"' in line)
        [refusal] = gateway.refusals("no_keys")
        assert gateway.rows() == {}

    assert nobody in refusal["detail"]
    assert "refused" in refusal["detail"]
    assert token not in "".join(gateway.lines)


def test_without_settings_anybody_connects(open_to_all: Gateway) -> None:
    """As nobody known, with what API Gateway says of the connection."""
    with open_to_all.client(origin=Origin("https://anywhere.example"), user_agent_header="test/1"):
        row = open_to_all.rows()["unknown"]

    assert "knownClientId" not in row
    assert row["sourceIp"] == {"S": "127.0.0.1"}
    assert row["userAgent"] == {"S": "test/1"}
    assert row["stage"] == {"S": "dev"}
    assert row["region"] == {"S": "us-east-1"}
    assert int(row["connectedAt"]["N"]) <= int(row["createdAt"]["N"])
    assert set(row) >= {"apiId", "domainName", "ttl"}


@pytest.mark.parametrize("client_id", ["dashboard:7", "alice@example.com", "a" * 128])
def test_a_client_says_who_it_is(open_to_all: Gateway, client_id: str) -> None:
    """Without tokens it is believed, also when it says the same twice."""
    with open_to_all.client(f"?clientId={client_id}&clientId={client_id}"):
        assert client_id in open_to_all.rows()


@pytest.mark.parametrize(
    "query",
    [
        "?clientId=",
        "?clientId=-a",
        "?clientId=a%20b",
        "?clientId=a%0d%0aX:1",
        "?clientId=%C3%A9",
        f"?clientId={'a' * 129}",
        "?clientId=a&clientId=b",
    ],
)
def test_another_client_id_is_a_bad_request(open_to_all: Gateway, query: str) -> None:
    """The body says what is accepted."""
    status, body = open_to_all.refused(query)

    assert status == 400
    assert "expected one value of 1 to 128 ASCII letters, digits and ._:@-" in body


def test_a_huge_user_agent_is_stored_cut(open_to_all: Gateway) -> None:
    """And a row stays under 1 KB, so that a connection costs one write unit."""
    with open_to_all.client(f"?clientId={'b' * 128}", user_agent_header="u" * 4000):
        row = open_to_all.rows()["b" * 128]

    assert row["userAgent"] == {"S": "u" * 256}
    assert len(json.dumps(row).encode()) < 1024


def test_clients_side_by_side_are_told_apart(
    guarded: Gateway, issuer: Issuer, secrets: list[str]
) -> None:
    """Each connection has the row of its own token's subject."""
    with ExitStack() as stack:
        for n in range(10):
            token = issuer.token(sub=f"crowd-{n}")
            secrets.append(token)
            stack.enter_context(guarded.client(f"?token={token}&clientId=crowd-{n}"))

        assert {f"crowd-{n}" for n in range(10)} <= set(guarded.rows())
