"""Tokens, checked against the keys that a real server publishes."""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters import token_keys as tokens
from chalicelib.adapters.token_keys import (
    KEYS_LIVE_S,
    REFETCH_AFTER_S,
    KeySet,
    Verifier,
    fetch_keys,
    verifier,
)
from chalicelib.domain.errors import KeysUnavailableError, TokenError
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

MAYBE_ANYTHING = st.text(st.characters(codec=None), max_size=40)


@dataclass
class Clock:
    """A clock that a test moves, in s."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def check(issuer: Issuer, clock: Clock) -> Callable[[str], str]:
    """Give the function that checks a token of `issuer`."""
    keys = KeySet(lambda: fetch_keys(issuer.keys_url), clock)
    return Verifier(issuer.url, AUDIENCE, keys).subject


def refused(check: Callable[[str], str], token: str) -> str:
    """Check a bad token and tell which check failed, as the log does."""
    with pytest.raises(TokenError) as caught:
        check(token)
    assert token not in str(caught.value)
    return caught.value.check


def forged(token: str) -> str:
    """Change the subject of a token, and keep the signature."""
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return ".".join([head, encoded(claims | {"sub": "root"}), signature])


def encoded(content: Any) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("make", [rsa_key, ec_key])
def test_a_good_token_names_its_subject(
    issuer: Issuer, check: Callable[[str], str], make: Callable[[], SigningKey]
) -> None:
    """Signed with RS256 or ES256 by a key that the issuer publishes."""
    assert check(issuer.token(make(), sub="alice@example.com")) == "alice@example.com"


@pytest.mark.parametrize("audience", [AUDIENCE, ["other", AUDIENCE]])
def test_one_of_several_audiences_is_enough(
    issuer: Issuer, check: Callable[[str], str], audience: Any
) -> None:
    """A token may be meant for several."""
    assert check(issuer.token(aud=audience)) == "alice"


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({"exp": 1}, "ExpiredSignatureError"),
        ({"exp": int(time.time()) - 5}, "ExpiredSignatureError"),
        ({"exp": "soon"}, "DecodeError"),
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
def test_a_token_whose_claims_do_not_hold_is_refused(
    issuer: Issuer,
    check: Callable[[str], str],
    make: Callable[[], SigningKey],
    changed: dict[str, Any],
    failed: str,
) -> None:
    """However good its signature is."""
    assert refused(check, issuer.token(make(), **changed)) == failed


@pytest.mark.parametrize("subject", ["a" * 128, "é" * 64, "auth0|62", "Zoë Ångström"])
def test_subjects_are_the_issuer_s_to_choose(
    issuer: Issuer, check: Callable[[str], str], subject: str
) -> None:
    """Up to what a row has room for."""
    assert check(issuer.token(sub=subject)) == subject


@pytest.mark.parametrize("make", [rsa_key, ec_key])
def test_a_forged_token_is_refused(
    issuer: Issuer, check: Callable[[str], str], make: Callable[[], SigningKey]
) -> None:
    """Another subject under the old signature; another's key under the issuer's key id."""
    key = make()
    thief = SigningKey(key.key_id, key.algorithm, _other(key).private)

    assert refused(check, forged(issuer.token(key))) == "InvalidSignatureError"
    assert refused(check, issuer.token(thief)) == "InvalidSignatureError"


def _other(key: SigningKey) -> SigningKey:
    return rsa_key("rsa-of-a-thief") if key.algorithm == "RS256" else ec_key("ec-of-a-thief")


def test_an_unsigned_token_is_refused(issuer: Issuer, check: Callable[[str], str]) -> None:
    """`alg` none, written in any case, with and without a key id."""
    for algorithm in ("none", "None", "NONE"):
        for key_id in ({}, {"kid": "rsa-1"}):
            header = {"typ": "JWT", "alg": algorithm, **key_id}
            token = f"{encoded(header)}.{encoded(issuer.claims())}."

            assert refused(check, token) == "the algorithm (alg) is not one of RS256, ES256"


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(
    issuer: Issuer, check: Callable[[str], str]
) -> None:
    """HS256 with what anybody may know; PyJWT will not make it, so it is made by hand."""
    signing = jwt.get_algorithm_by_name("HS256")
    for algorithm in ("HS256", "RS256"):
        head = encoded({"alg": algorithm, "kid": "rsa-1", "typ": "JWT"})
        text = f"{head}.{encoded(issuer.claims())}"
        mac = signing.sign(text.encode(), rsa_key().public_pem)
        token = f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

        assert refused(check, token) == (
            "the algorithm (alg) is not one of RS256, ES256"
            if algorithm == "HS256"
            else "InvalidSignatureError"
        )


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithms_of_a_good_key_are_refused(
    issuer: Issuer, check: Callable[[str], str], algorithm: str
) -> None:
    """The list is what is asked for, not what the library can do."""
    token = signed(issuer.claims(), SigningKey("rsa-1", algorithm, rsa_key().private))

    assert refused(check, token) == "the algorithm (alg) is not one of RS256, ES256"


def test_the_algorithm_is_that_of_the_key(issuer: Issuer, check: Callable[[str], str]) -> None:
    """A token cannot choose another for a key than it is published for."""
    token = signed(issuer.claims(), SigningKey("rsa-1", "ES256", ec_key().private))

    assert refused(check, token) == "InvalidAlgorithmError"


def test_an_unknown_key_is_refused(issuer: Issuer, check: Callable[[str], str]) -> None:
    """And so is a token that names none, or one that is no text."""
    assert refused(check, issuer.token(rsa_key("rsa-2"))) == "unknown key id (kid)"
    for header in ({"alg": "RS256"}, {"alg": "RS256", "kid": None}):
        token = f"{encoded(header)}.{encoded(issuer.claims())}.AAAA"

        assert refused(check, token) in ("missing key id (kid)", "InvalidTokenError")


def test_keys_for_encryption_check_no_signature(
    issuer: Issuer, check: Callable[[str], str]
) -> None:
    """The issuer says what a key is for."""
    published = [rsa_key("enc").published() | {"use": "enc"}, rsa_key().published()]
    issuer.body = json.dumps({"keys": published}).encode()

    assert refused(check, issuer.token(rsa_key("enc"))) == "unknown key id (kid)"
    assert check(issuer.token()) == "alice"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "not a token",
        "\ud800",
        "é.é.é",
        "a\nb",
        f"{encoded([])}.{encoded({})}.AAAA",
        base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.AAAA",
        base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=") + ".e30.AAAA",
    ],
)
def test_what_is_no_token_is_refused(check: Callable[[str], str], token: str) -> None:
    """Whatever a client writes there, down to half characters and deep nesting."""
    with pytest.raises(TokenError):
        check(token)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(MAYBE_ANYTHING, MAYBE_ANYTHING, MAYBE_ANYTHING)
def test_any_text_is_a_refused_token(
    check: Callable[[str], str], head: str, payload: str, signature: str
) -> None:
    """Nothing but a `TokenError` can come out of what is not signed."""
    with pytest.raises(TokenError):
        check(f"{head}.{payload}.{signature}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku"]),
        st.none() | st.booleans() | st.integers() | st.sampled_from(["RS256", "rsa-1", "none"]),
    )
)
def test_any_header_is_a_refused_token(
    issuer: Issuer, check: Callable[[str], str], header: dict[str, Any]
) -> None:
    """Neither a key nor an address that a token brings along is used."""
    with pytest.raises(TokenError):
        check(f"{encoded(header)}.{encoded(issuer.claims())}.AAAA")


def test_keys_are_fetched_once(issuer: Issuer, check: Callable[[str], str]) -> None:
    """From the address given, when the first token comes and not for the next."""
    assert issuer.asked == []
    for _ in range(3):
        check(issuer.token(rsa_key()))
        check(issuer.token(ec_key()))

    assert issuer.asked == [KEYS_PATH]


def test_keys_are_fetched_anew_after_an_hour(
    issuer: Issuer, check: Callable[[str], str], clock: Clock
) -> None:
    """A key that the issuer has withdrawn is not accepted for ever."""
    check(issuer.token())
    issuer.keys = [rsa_key("rsa-2")]
    clock.now += KEYS_LIVE_S - 1
    assert check(issuer.token(rsa_key())) == "alice"

    clock.now += 1
    assert refused(check, issuer.token(rsa_key())) == "unknown key id (kid)"
    assert len(issuer.asked) == 2


def test_a_rotated_key_is_found(issuer: Issuer, check: Callable[[str], str], clock: Clock) -> None:
    """A key id that is not known fetches the keys again."""
    check(issuer.token())
    issuer.keys = [rsa_key("rsa-2"), ec_key()]
    clock.now += REFETCH_AFTER_S

    assert check(issuer.token(rsa_key("rsa-2"))) == "alice"
    assert check(issuer.token(ec_key())) == "alice"
    assert len(issuer.asked) == 2


def test_unknown_key_ids_fetch_at_most_once_a_minute(
    issuer: Issuer, check: Callable[[str], str], clock: Clock
) -> None:
    """Anybody can make up a key id; the issuer must not feel it."""
    for second in range(3 * REFETCH_AFTER_S):
        clock.now = 1000.0 + second
        refused(check, signed(issuer.claims(), rsa_key(), kid=f"made-up-{second}"))

    assert len(issuer.asked) == 3
    assert check(issuer.token()) == "alice"


def test_an_issuer_that_is_down_is_asked_at_most_once_a_minute(
    issuer: Issuer, check: Callable[[str], str], clock: Clock
) -> None:
    """Once there are keys: each try may take seconds, in which the handshake waits."""
    check(issuer.token())
    issuer.status = 500
    clock.now += KEYS_LIVE_S
    for _ in range(5):
        assert check(issuer.token()) == "alice"
        with pytest.raises(KeysUnavailableError):
            check(issuer.token(rsa_key("rsa-2")))
    assert len(issuer.asked) == 2

    clock.now += REFETCH_AFTER_S
    issuer.status, issuer.keys = 200, [rsa_key("rsa-2")]
    assert check(issuer.token(rsa_key("rsa-2"))) == "alice"
    assert len(issuer.asked) == 3


def test_without_any_keys_each_token_tries(issuer: Issuer, check: Callable[[str], str]) -> None:
    """A moment's failure at the start must not refuse everybody for a minute."""
    issuer.status = 503
    with pytest.raises(KeysUnavailableError) as caught:
        check(issuer.token())
    assert issuer.keys_url in str(caught.value)

    issuer.status = 200
    assert check(issuer.token()) == "alice"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
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
        (302, b""),
        (404, b"not here"),
        (500, b""),
    ],
)
def test_an_answer_without_usable_keys_is_no_answer(
    issuer: Issuer, check: Callable[[str], str], status: int, body: bytes
) -> None:
    """The token may be good, so it is not the token that is refused."""
    issuer.status, issuer.body = status, body

    with pytest.raises(KeysUnavailableError):
        check(issuer.token())


def test_a_secret_among_the_keys_checks_nothing(
    issuer: Issuer, check: Callable[[str], str]
) -> None:
    """Keys of another kind that an issuer publishes are not for signatures of ours."""
    secret = base64.urlsafe_b64encode(b"secret" * 6).decode().rstrip("=")
    key = {"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"}
    issuer.body = json.dumps({"keys": [key]}).encode()
    token = jwt.encode(issuer.claims(), b"secret" * 6, "HS256", headers={"kid": "shared"})

    assert refused(check, token) == "the algorithm (alg) is not one of RS256, ES256"


def test_an_issuer_that_is_not_there_is_unreachable() -> None:
    """The refused connection is the cause that the log gets."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"

    with pytest.raises(KeysUnavailableError, match="refused"):
        fetch_keys(address)


def test_an_issuer_that_never_answers_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake waits for it no longer than its time limit, here made shorter."""
    monkeypatch.setattr(tokens, "FETCH_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"

        with pytest.raises(KeysUnavailableError, match="timed out"):
            fetch_keys(address)


def test_an_issuer_that_hangs_up_is_unreachable() -> None:
    """In the middle of its answer: what came is not taken for the keys."""
    script = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "client, _ = server.accept()\n"
        "client.recv(4096)\n"
        "client.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\n{')\n"
        "client.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        address = f"http://127.0.0.1:{int(server.stdout.readline())}/keys"

        with pytest.raises(KeysUnavailableError):
            fetch_keys(address)


def test_a_verifier_is_made_once_for_each_issuer(issuer: Issuer) -> None:
    """It keeps the keys, from one invocation of the execution environment to the next."""
    with issuing() as other:
        mine = verifier(issuer.url, AUDIENCE, issuer.keys_url)

        assert verifier(issuer.url, AUDIENCE, issuer.keys_url) is mine
        assert verifier(other.url, AUDIENCE, other.keys_url) is not mine
        assert mine.subject(issuer.token()) == "alice"
        assert refused(mine.subject, other.token()) == "InvalidIssuerError"


def test_keys_live_an_hour_and_are_asked_for_again_once_a_minute() -> None:
    """As documented; the tests above move their clock by these."""
    assert (KEYS_LIVE_S, REFETCH_AFTER_S) == (3600, 60)
