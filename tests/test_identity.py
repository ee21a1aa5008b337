"""Who may connect: real clients, the local gateway and a server with the issuer's keys."""

import itertools
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.conftest import TABLE
from tests.support.gateway import PATIENCE_S, Gateway, serving
from tests.support.issuer import AUDIENCE, Issuer, ec_key, issuing, rsa_key, signed

DASHBOARD = "https://dashboard.example.com"
Options = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def secrets() -> list[str]:
    """Return the list in which tests note the tokens that they send."""
    return []


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, secrets: list[str]
) -> Iterator[Gateway]:
    """Serve with tokens of `issuer` and one origin. At the end, no token has been printed."""
    settings = {
        "AUTH_ISSUER": issuer.url,
        "AUTH_AUDIENCE": AUDIENCE,
        "ALLOWED_ORIGINS": DASHBOARD,
    }
    with serving(tmp_path_factory.mktemp("guarded") / "project", settings=settings) as gateway:
        yield gateway
    assert gateway.logged("connected")
    assert gateway.logged("refused")
    printed = "".join(gateway.said)
    for token in secrets:
        assert [part for part in (token, *token.split(".")[1:]) if part and part in printed] == []


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve with the project's own settings."""
    with serving(tmp_path_factory.mktemp("unguarded") / "project") as gateway:
        yield gateway


@pytest.fixture
def token(issuer: Issuer, secrets: list[str]) -> Callable[..., str]:
    """Return a function that signs a token and notes it as a secret."""

    def token(*key: Any, **claims: Any) -> str:
        secrets.append(issuer.token(*key, **claims))
        return secrets[-1]

    return token


def client(gateway: Gateway, query: str = "", **options: Any) -> ClientConnection:
    connected: ClientConnection = connect(gateway.url + query, open_timeout=PATIENCE_S, **options)
    return connected


def refused(gateway: Gateway, query: str = "", **options: Any) -> tuple[int, str]:
    """Return status and body with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as caught, client(gateway, query, **options):
        pass
    response = caught.value.response
    return response.status_code, bytes(response.body or b"").decode()


def rows(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """Return the rows by `clientId`."""
    items = gateway.dynamodb().scan(TableName=TABLE, ConsistentRead=True)["Items"]
    return {item["clientId"]["S"]: dict(item) for item in items if "clientId" in item}


def refusals(gateway: Gateway, cause: str) -> list[dict[str, Any]]:
    return [line for line in gateway.logged("refused") if line["cause"] == cause]


def in_header(token: str) -> Options:
    return "", {"additional_headers": {"Authorization": f"Bearer {token}"}}


def in_subprotocol(token: str) -> Options:
    """Send a token as a browser does."""
    offered = [Subprotocol("bearer"), Subprotocol(token)]
    return "", {"subprotocols": offered, "origin": Origin(DASHBOARD)}


def in_parameter(token: str) -> Options:
    return f"?token={token}", {}


PLACES = [in_header, in_subprotocol, in_parameter]
Place = Callable[[str], Options]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_a_client_with_a_valid_token_connects_as_its_subject(
    guarded: Gateway, token: Callable[..., str], place: Place, key: Any
) -> None:
    """The answer selects `bearer` only if the client offered it."""
    subject = f"{place.__name__}@{key.algorithm}"
    sent = token(key, sub=subject)
    query, options = place(sent)

    with client(guarded, query, **options) as connected:
        assert connected.subprotocol == ("bearer" if place is in_subprotocol else None)
        row = rows(guarded)[subject]

    assert row["knownClientId"] == {"S": subject}
    assert sent not in json.dumps(row)


def unsigned(issuer: Issuer) -> str:
    """Return a token with the algorithm `none`."""
    return f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{issuer.token().split('.')[1]}."


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


@pytest.mark.parametrize(("check", "place"), [*zip(BAD, itertools.cycle(PLACES), strict=False)])
def test_a_bad_token_is_unauthorized_and_only_the_log_names_the_failed_check(
    guarded: Gateway, issuer: Issuer, secrets: list[str], check: str, place: Place
) -> None:
    bad = BAD[check](issuer)
    secrets.append(bad)
    before = len(refusals(guarded, "bad_token"))
    query, options = place(bad)

    assert refused(guarded, query, **options) == (401, "Unauthorized")
    guarded.wait(lambda: len(refusals(guarded, "bad_token")) > before)
    assert check in refusals(guarded, "bad_token")[before]["detail"]


def test_a_client_id_does_not_replace_a_token(guarded: Gateway) -> None:
    assert refused(guarded) == (401, "Unauthorized")
    assert refused(guarded, "?clientId=mallory") == (401, "Unauthorized")
    assert "mallory" not in rows(guarded)


@pytest.mark.parametrize(("client_id", "status"), [("bob", 403), ("carol%00", 400)])
def test_a_client_id_that_is_not_the_subject_is_refused(
    guarded: Gateway, token: Callable[..., str], client_id: str, status: int
) -> None:
    query = f"?token={token(sub='carol')}&clientId={client_id}"

    assert refused(guarded, query)[0] == status
    assert client_id not in rows(guarded)


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://dashboard.example.com"]
)
def test_a_page_of_another_origin_is_forbidden_even_with_a_valid_token(
    guarded: Gateway, token: Callable[..., str], origin: str
) -> None:
    query, options = in_subprotocol(token(sub="hijacked"))

    assert refused(guarded, query, **options | {"origin": Origin(origin)}) == (403, "Forbidden")
    assert "hijacked" not in rows(guarded)


def test_clients_that_follow_each_other_share_the_fetched_keys(
    guarded: Gateway, issuer: Issuer, token: Callable[..., str]
) -> None:
    """Each execution environment fetches them once."""
    with client(guarded, f"?token={token()}"):
        fetched = len(issuer.asked)

    for number in range(5):
        with client(guarded, f"?token={token(sub=f'client-{number}')}"):
            pass

    assert 1 <= len(issuer.asked) == fetched


def test_clients_side_by_side_have_the_row_of_their_own_subject(
    guarded: Gateway, token: Callable[..., str]
) -> None:
    names = {f"crowd-{number}" for number in range(10)}
    with ExitStack() as stack:
        for name in names:
            query = f"?token={token(sub=name)}&clientId={name}"
            stack.enter_context(client(guarded, query))

        assert names <= set(rows(guarded))


def test_an_issuer_that_is_unreachable_makes_the_service_unavailable(
    tmp_path: Path, issuer: Issuer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"
    token = issuer.token()
    settings = {"AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE, "AUTH_JWKS_URL": nobody}

    with serving(tmp_path / "project", settings=settings) as gateway:
        assert refused(gateway, f"?token={token}") == (503, "Service unavailable")
        assert refused(gateway) == (401, "Unauthorized")
        gateway.wait(lambda: bool(refusals(gateway, "no_keys")))
        [refusal] = refusals(gateway, "no_keys")
        assert rows(gateway) == {}

    assert nobody in refusal["detail"]
    assert "refused" in refusal["detail"]
    assert token not in "".join(gateway.said)


def test_without_settings_a_client_is_anonymous(unguarded: Gateway) -> None:
    options = {"origin": Origin("https://anywhere.example"), "user_agent_header": "test/1"}
    with client(unguarded, **options):
        row = rows(unguarded)["unknown"]

    assert "knownClientId" not in row
    assert row["sourceIp"] == {"S": "127.0.0.1"}
    assert row["userAgent"] == {"S": "test/1"}
    assert row["stage"] == {"S": "dev"}
    assert row["region"] == {"S": "us-east-1"}
    assert int(row["connectedAt"]["N"]) <= int(row["createdAt"]["N"])
    assert set(row) >= {"apiId", "domainName", "ttl"}


@pytest.mark.parametrize("client_id", ["dashboard:7", "alice@example.com", "a" * 128])
def test_without_tokens_a_client_chooses_its_id(unguarded: Gateway, client_id: str) -> None:
    with client(unguarded, f"?clientId={client_id}&clientId={client_id}"):
        assert client_id in rows(unguarded)


@pytest.mark.parametrize(
    "client_ids",
    [[""], ["-a"], ["a%20b"], ["a%0d%0aX:1"], ["%C3%A9"], ["a" * 129], ["a", "b"]],
)
def test_an_invalid_client_id_is_a_bad_request(unguarded: Gateway, client_ids: list[str]) -> None:
    query = "&".join(f"clientId={client_id}" for client_id in client_ids)

    status, body = refused(unguarded, f"?{query}")

    assert status == 400
    assert "expected one value of 1 to 128 ASCII letters, digits and ._:@-" in body


def test_a_huge_user_agent_is_cut_so_that_a_row_costs_one_write_unit(unguarded: Gateway) -> None:
    with client(unguarded, f"?clientId={'b' * 128}", user_agent_header="u" * 4000):
        row = rows(unguarded)["b" * 128]

    assert row["userAgent"] == {"S": "u" * 192}
    assert len(json.dumps(row).encode()) < 1024
