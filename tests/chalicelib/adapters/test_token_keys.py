"""Tokens, verified with the keys that a real server publishes."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters import token_keys
from chalicelib.adapters.token_keys import KeySet, Verifier, fetch_keys, verifier
from chalicelib.domain.errors import KeysUnavailableError, TokenError
from chalicelib.domain.subjects import Identity
from tests.support.issuer import (
    AUDIENCE,
    KEYS_PATH,
    REMOVED,
    Issuer,
    SigningKey,
    ec_key,
    issuing,
    rsa_key,
    signed,
)

HOUR_S, MINUTE_S = 3600, 60
BAD_ALGORITHM = "the algorithm (alg) is not one of RS256, ES256"
MAYBE_ANYTHING = st.text(st.characters(codec=None), max_size=40)
PROPERTY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

Subject = Callable[[str], str]


@dataclass
class Clock:
    """A clock in s that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def subject(issuer: Issuer, clock: Clock) -> Subject:
    """Return the function that verifies a token of `issuer`."""
    keys = KeySet(lambda: fetch_keys(issuer.keys_url), clock)
    verifier = Verifier(issuer.url, AUDIENCE, keys)
    return lambda token: verifier.identity(token).subject


def failed_check(subject: Callable[[str], object], token: str) -> str:
    """Verify a bad token and return the check that failed, which the log gets."""
    with pytest.raises(TokenError) as caught:
        subject(token)
    assert token not in str(caught.value)
    return caught.value.check


def encoded(content: Any) -> str:
    """Encode one part of a token."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("make", [rsa_key, ec_key])
@pytest.mark.parametrize("name", ["alice@x.org", "a" * 128, "é" * 64, "auth0|62", "Zoë Ångström"])
def test_a_valid_token_has_any_printable_subject(
    issuer: Issuer, subject: Subject, make: Callable[[], SigningKey], name: str
) -> None:
    assert subject(issuer.token(make(), sub=name)) == name


@pytest.mark.parametrize(
    ("exp", "expires_at"),
    [
        (4_102_444_800, 4_102_444_800),
        (4_102_444_800.9, 4_102_444_800),
        ("4102444800", 4_102_444_800),
        (10**40, 9_999_999_999),
    ],
)
def test_the_expiry_is_told_in_whole_seconds(issuer: Issuer, exp: object, expires_at: int) -> None:
    """No later than the token says, and as a number that DynamoDB takes."""
    keys = KeySet(lambda: fetch_keys(issuer.keys_url), time.time)

    identity = Verifier(issuer.url, AUDIENCE, keys).identity(issuer.token(exp=exp))

    assert identity == Identity("alice", expires_at)


def test_one_of_several_audiences_is_enough(issuer: Issuer, subject: Subject) -> None:
    assert subject(issuer.token(aud=["other", AUDIENCE])) == "alice"


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"exp": 1}, "ExpiredSignatureError"),
        ({"exp": int(time.time()) - 5}, "ExpiredSignatureError"),
        ({"exp": "soon"}, "DecodeError"),
        ({"exp": float("inf")}, "DecodeError"),
        ({"exp": float("nan")}, "DecodeError"),
        ({"exp": REMOVED}, "MissingRequiredClaimError"),
        ({"nbf": int(time.time()) + 3600}, "ImmatureSignatureError"),
        ({"iss": "https://evil.example.com"}, "InvalidIssuerError"),
        ({"iss": REMOVED}, "MissingRequiredClaimError"),
        ({"aud": "another-application"}, "InvalidAudienceError"),
        ({"aud": ["another-application"]}, "InvalidAudienceError"),
        ({"aud": []}, "MissingRequiredClaimError"),
        ({"aud": REMOVED}, "MissingRequiredClaimError"),
        ({"sub": REMOVED}, "MissingRequiredClaimError"),
        ({"sub": None}, "MissingRequiredClaimError"),
        ({"sub": ""}, "subject (sub) is not printable text"),
        ({"sub": "a\nb"}, "subject (sub) is not printable text"),
        ({"sub": "a\x00"}, "subject (sub) is not printable text"),
        ({"sub": "\ud800"}, "subject (sub) is not printable text"),
        ({"sub": 7}, "InvalidSubjectError"),
        ({"sub": "a" * 129}, "subject (sub) is longer than 128 bytes"),
        ({"sub": "é" * 65}, "subject (sub) is longer than 128 bytes"),
    ],
)
@pytest.mark.parametrize("make", [rsa_key, ec_key])
def test_a_token_with_invalid_claims_is_refused(
    issuer: Issuer,
    subject: Subject,
    make: Callable[[], SigningKey],
    changed: dict[str, Any],
    check: str,
) -> None:
    assert failed_check(subject, issuer.token(make(), **changed)) == check


@pytest.mark.parametrize(
    ("make", "thief"), [(rsa_key, rsa_key("thief")), (ec_key, ec_key("thief"))]
)
def test_a_forged_token_is_refused(
    issuer: Issuer, subject: Subject, make: Callable[[], SigningKey], thief: SigningKey
) -> None:
    key = make()
    head, _, signature = issuer.token(key).split(".")
    changed = f"{head}.{encoded(issuer.claims(sub='root'))}.{signature}"
    stolen = issuer.token(SigningKey(key.key_id, key.algorithm, thief.private))

    assert failed_check(subject, changed) == "InvalidSignatureError"
    assert failed_check(subject, stolen) == "InvalidSignatureError"


@pytest.mark.parametrize(
    ("header", "check"),
    [
        ({"alg": "none"}, BAD_ALGORITHM),
        ({"alg": "None", "kid": "rsa-1"}, BAD_ALGORITHM),
        ({"alg": "NONE", "kid": "rsa-1"}, BAD_ALGORITHM),
        ({"kid": "rsa-1"}, BAD_ALGORITHM),
        ({"alg": "RS256"}, "missing key id (kid)"),
        ({"alg": "RS256", "kid": None}, "InvalidTokenError"),
        ({"alg": "RS256", "kid": "rsa-2"}, "unknown key id (kid)"),
        ({"alg": "ES256", "kid": "rsa-1"}, "InvalidAlgorithmError"),
    ],
)
def test_a_token_whose_header_names_no_usable_key_is_refused(
    issuer: Issuer, subject: Subject, header: dict[str, Any], check: str
) -> None:
    token = f"{encoded({'typ': 'JWT', **header})}.{encoded(issuer.claims())}.AAAA"

    assert failed_check(subject, token) == check


@pytest.mark.parametrize(
    ("algorithm", "check"), [("HS256", BAD_ALGORITHM), ("RS256", "InvalidSignatureError")]
)
def test_a_token_signed_with_the_public_key_as_a_password_is_refused(
    issuer: Issuer, subject: Subject, algorithm: str, check: str
) -> None:
    """PyJWT refuses to make such a token."""
    text = f"{encoded({'alg': algorithm, 'kid': 'rsa-1'})}.{encoded(issuer.claims())}"
    mac = jwt.get_algorithm_by_name("HS256").sign(text.encode(), rsa_key().public_pem)

    assert failed_check(subject, f"{text}.{encoded(mac)}") == check


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithms_of_a_good_key_are_refused(
    issuer: Issuer, subject: Subject, algorithm: str
) -> None:
    token = signed(issuer.claims(), SigningKey("rsa-1", algorithm, rsa_key().private))

    assert failed_check(subject, token) == BAD_ALGORITHM


def test_a_key_for_encryption_verifies_nothing(issuer: Issuer, subject: Subject) -> None:
    published = [rsa_key("enc").published() | {"use": "enc"}, rsa_key().published()]
    issuer.body = json.dumps({"keys": published}).encode()

    assert failed_check(subject, issuer.token(rsa_key("enc"))) == "unknown key id (kid)"
    assert subject(issuer.token()) == "alice"


def test_a_published_secret_verifies_nothing(issuer: Issuer, subject: Subject) -> None:
    secret = b"secret" * 6
    key = {"kty": "oct", "kid": "shared", "k": encoded(secret), "alg": "HS256"}
    issuer.body = json.dumps({"keys": [key]}).encode()
    token = jwt.encode(issuer.claims(), secret, "HS256", headers={"kid": "shared"})

    assert failed_check(subject, token) == BAD_ALGORITHM


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "a.b.c", "not a token", "\ud800", "é.é.é", "a\nb"),
        f"{encoded([])}.{encoded({})}.AAAA",
        f"{encoded(b'[' * 6000)}.e30.AAAA",
        f"{encoded(bytes([255, 254]))}.e30.AAAA",
    ],
)
def test_a_text_that_is_no_token_is_refused(subject: Subject, token: str) -> None:
    with pytest.raises(TokenError):
        subject(token)


@PROPERTY
@given(MAYBE_ANYTHING, MAYBE_ANYTHING, MAYBE_ANYTHING)
def test_any_text_is_refused(subject: Subject, head: str, payload: str, signature: str) -> None:
    with pytest.raises(TokenError):
        subject(f"{head}.{payload}.{signature}")


@PROPERTY
@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku"]),
        st.none() | st.booleans() | st.integers() | st.sampled_from(["RS256", "rsa-1", "none"]),
    )
)
def test_an_unsigned_token_with_any_header_is_refused(
    issuer: Issuer, subject: Subject, header: dict[str, Any]
) -> None:
    """A key or an address in the token is not used."""
    with pytest.raises(TokenError):
        subject(f"{encoded(header)}.{encoded(issuer.claims())}.AAAA")


def test_keys_are_fetched_once_for_the_first_token(issuer: Issuer, subject: Subject) -> None:
    assert issuer.asked == []

    for key in (rsa_key(), ec_key(), rsa_key()):
        subject(issuer.token(key))

    assert issuer.asked == [KEYS_PATH]


def test_a_withdrawn_key_is_accepted_for_an_hour(
    issuer: Issuer, subject: Subject, clock: Clock
) -> None:
    subject(issuer.token())
    issuer.keys = [rsa_key("rsa-2")]
    clock.now += HOUR_S - 1
    assert subject(issuer.token(rsa_key())) == "alice"

    clock.now += 1
    assert failed_check(subject, issuer.token(rsa_key())) == "unknown key id (kid)"
    assert len(issuer.asked) == 2


def test_the_hour_ends_also_while_the_environment_is_frozen(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its monotonic clock may be: github.com/hashicorp/vault-lambda-extension/pull/150."""
    wall = Clock(time.time())
    monkeypatch.setattr(time, "time", wall)
    frozen = verifier(issuer.url, AUDIENCE, issuer.keys_url)
    token = issuer.token(rsa_key())
    frozen.identity(token)

    issuer.keys = [rsa_key("rsa-2")]
    wall.now += HOUR_S

    assert failed_check(frozen.identity, token) == "unknown key id (kid)"


def test_a_clock_that_is_set_back_keeps_no_key_for_longer(
    issuer: Issuer, subject: Subject, clock: Clock
) -> None:
    subject(issuer.token())

    issuer.keys = [rsa_key("rsa-2")]
    clock.now -= 1

    assert failed_check(subject, issuer.token(rsa_key())) == "unknown key id (kid)"


def test_an_unknown_key_id_refetches_the_keys_at_most_once_a_minute(
    issuer: Issuer, subject: Subject, clock: Clock
) -> None:
    """Issuers rotate keys, and anybody can invent a key id."""
    subject(issuer.token())
    issuer.keys = [rsa_key("rsa-2"), ec_key()]
    for second in range(1, 2 * MINUTE_S):
        clock.now = 1000.0 + second
        failed_check(subject, signed(issuer.claims(), rsa_key(), kid=f"made-up-{second}"))
    assert len(issuer.asked) == 2

    assert subject(issuer.token(rsa_key("rsa-2"))) == "alice"
    assert subject(issuer.token(ec_key())) == "alice"


def test_an_issuer_that_is_down_is_asked_at_most_once_a_minute(
    issuer: Issuer, subject: Subject, clock: Clock
) -> None:
    """Known keys stay valid, and no handshake waits in vain for the rest of the minute."""
    subject(issuer.token())
    issuer.status = 500
    clock.now += HOUR_S
    for _ in range(5):
        assert subject(issuer.token()) == "alice"
        with pytest.raises(KeysUnavailableError):
            subject(issuer.token(rsa_key("rsa-2")))
    assert len(issuer.asked) == 2

    clock.now += MINUTE_S
    issuer.status, issuer.keys = 200, [rsa_key("rsa-2")]
    assert subject(issuer.token(rsa_key("rsa-2"))) == "alice"
    assert len(issuer.asked) == 3


def test_as_long_as_there_are_no_keys_each_token_fetches(issuer: Issuer, subject: Subject) -> None:
    issuer.status = 503
    with pytest.raises(KeysUnavailableError, match=issuer.keys_url):
        subject(issuer.token())

    issuer.status = 200
    assert subject(issuer.token()) == "alice"


UNUSABLE_NAMES: tuple[object, ...] = ({}, [], 5, True, "")


def named(name: object) -> bytes:
    """Return the published keys of an issuer whose only key has this id."""
    return json.dumps({"keys": [ec_key().published() | {"kid": name}]}).encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, b"") for status in (200, 302, 404, 500)),
        (200, b"<html>"),
        (200, b"\xff\xfe\xfd"),
        (200, b"[" * 100_000),
        (200, b"[]"),
        (200, b"null"),
        (200, b"{}"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": {}}'),
        (200, b'{"keys": [1]}'),
        (200, b'{"keys": [{"kty": "RSA"}]}'),
        *((200, named(name)) for name in UNUSABLE_NAMES),
    ],
)
def test_an_answer_without_usable_keys_makes_the_keys_unavailable(
    issuer: Issuer, subject: Subject, status: int, body: bytes
) -> None:
    """It does not refuse the token, which may be valid."""
    issuer.status, issuer.body = status, body

    with pytest.raises(KeysUnavailableError):
        subject(issuer.token())


def test_an_issuer_that_refuses_connections_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"

    with pytest.raises(KeysUnavailableError, match="refused"):
        fetch_keys(address)


def test_an_issuer_that_never_answers_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_keys.FETCH_TIMEOUT_S == 2
    monkeypatch.setattr(token_keys, "FETCH_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"

        with pytest.raises(KeysUnavailableError, match="timed out"):
            fetch_keys(address)


def test_an_issuer_that_hangs_up_in_the_middle_of_its_answer_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_half() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

        thread = threading.Thread(target=answer_half)
        thread.start()

        with pytest.raises(KeysUnavailableError):
            fetch_keys(f"http://127.0.0.1:{server.getsockname()[1]}/keys")
        thread.join()


def test_each_issuer_has_one_verifier(issuer: Issuer) -> None:
    """It keeps the keys from one invocation to the next."""
    with issuing() as other:
        mine = verifier(issuer.url, AUDIENCE, issuer.keys_url)

        assert verifier(issuer.url, AUDIENCE, issuer.keys_url) is mine
        assert verifier(other.url, AUDIENCE, other.keys_url) is not mine
        assert mine.identity(issuer.token()).subject == "alice"
        assert failed_check(mine.identity, other.token()) == "InvalidIssuerError"
