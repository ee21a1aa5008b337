import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.admission import (
    CLIENT_ID,
    INVALID_CLIENT_ID,
    REASONS,
    Admitted,
    Refused,
    admit,
    bearer_token,
)
from chalicelib.domain.errors import KeysUnavailableError, TokenError
from chalicelib.domain.events import Handshake
from chalicelib.domain.subjects import Identity
from tests.conftest import ROOT

FIRST = frozenset(string.ascii_letters + string.digits)
ALLOWED = FIRST | frozenset("._:@-")
ORIGINS = ("https://dashboard.example.com", "http://localhost:3000")
BAD_CLIENT_ID = (400, INVALID_CLIENT_ID, "client_id")
WRONG_ORIGIN = (403, "Forbidden", "origin")
OTHER_CLIENT = (403, "Forbidden", "other_client")
NO_TOKEN = (401, "Unauthorized", "no_token")
BAD_TOKEN = (401, "Unauthorized", "bad_token")
NOT_NAMED = (500, "Internal server error", "settings")
EXPIRY = 1_731_325_000
NO_KEYS = (503, "Service unavailable", "no_keys")


def identity_of(token: str) -> Identity:
    """Verify tokens as an issuer would: it knows two, and has no keys for a third."""
    match token:
        case "alice's":
            return Identity("alice", EXPIRY)
        case "odd one's":
            return Identity("auth0|62 é", EXPIRY)
        case "orphan":
            raise KeysUnavailableError("https://issuer.example.com", "timed out")
        case _:
            raise TokenError("ExpiredSignatureError")


def decide(
    *, origins: tuple[str, ...] = (), with_tokens: bool = False, **sent: object
) -> Admitted | tuple[int, str, str]:
    """Decide on a handshake. A refusal is what the client sees, and the reason."""
    handshake = Handshake("L0SM9cOFvHcCIhw=", **sent)  # type: ignore[arg-type] # fields of any type
    decision = admit(handshake, origins, identity_of if with_tokens else None)
    if isinstance(decision, Admitted):
        return decision
    return decision.status, decision.body, decision.reason


@pytest.mark.parametrize(
    ("sent", "decision"),
    [
        ({"authorizer": {"user": "alice"}}, Admitted("alice")),
        ({"authorizer": {"user": "auth0|62 é"}}, Admitted("auth0|62 é")),
        ({"authorizer": {"user": "x" * 128}}, Admitted("x" * 128)),
        ({"authorizer": {"user": "alice"}, "client_ids": ("alice",)}, Admitted("alice")),
        ({"authorizer": {"user": "alice"}, "client_ids": ("bob",)}, OTHER_CLIENT),
        ({"authorizer": {"user": "alice"}, "client_ids": ("a b",)}, BAD_CLIENT_ID),
        ({"authorizer": {"user": "alice"}, "subprotocols": ("chat",)}, Admitted("alice", "chat")),
        ({}, NOT_NAMED),
        ({"client_ids": ("alice",)}, NOT_NAMED),
        ({"authorizer": {"principalId": "alice"}}, NOT_NAMED),
        *(
            ({"authorizer": {"user": name}}, NOT_NAMED)
            for name in ("", "a\nb", "x" * 129, "é" * 65, None, 7, ["alice"])
        ),
    ],
)
def test_an_authorizer_names_the_client(
    sent: dict[str, object], decision: Admitted | tuple[int, str, str]
) -> None:
    """Nobody is let in as an anonymous client because the authorizer is missing."""
    handshake = Handshake("L0SM9cOFvHcCIhw=", **sent)  # type: ignore[arg-type] # fields of any type

    found = admit(handshake, (), None, ("chat",), "user")

    shown = found if isinstance(found, Admitted) else (found.status, found.body, found.reason)
    assert shown == decision


def test_an_authorizer_that_is_not_asked_names_nobody() -> None:
    """Many authorizers give every client the same principal."""
    assert decide(authorizer={"principalId": "user"}) == Admitted()


def detail(**sent: object) -> str:
    """Return what the log gets about a refusal."""
    handshake = Handshake("L0SM9cOFvHcCIhw=", **sent)  # type: ignore[arg-type] # fields of any type
    decision = admit(handshake, ORIGINS, identity_of if "token" in sent else None)
    assert isinstance(decision, Refused)
    return decision.detail


def test_without_settings_a_client_that_sends_nothing_is_anonymous() -> None:
    assert decide() == Admitted(None, None)
    assert decide(origin="https://anywhere.example") == Admitted()


@pytest.mark.parametrize(
    "client_id",
    [*"aZ0", "a.b", "dashboard:7", "alice@example.com", "a_b-c", "9" * 128, "a" + "@" * 127],
)
def test_a_valid_client_id_is_accepted(client_id: str) -> None:
    assert decide(client_ids=(client_id,)) == Admitted(client_id)
    assert decide(client_ids=(client_id,) * 3) == Admitted(client_id)


@pytest.mark.parametrize(
    "client_id",
    [
        *("", " ", "-a", "a b", " a", "a ", "a\n", "a\r\nX-Evil: 1", "a\x00", "a\x7f"),
        *("a/b", "a#b", "a|b", "a,b", "<b>", "é", "aé", "a\u0663", "a\uff21", "a\u200b"),
        *"._:@-",
        "9" * 129,
    ],
)
def test_any_other_client_id_is_a_bad_request(client_id: str) -> None:
    assert decide(client_ids=(client_id,)) == BAD_CLIENT_ID
    assert decide(client_ids=(client_id,) * 2) == BAD_CLIENT_ID


@pytest.mark.parametrize("client_ids", ["ab", "aab", ("a", ""), "aA"])
def test_different_client_ids_are_a_bad_request(client_ids: object) -> None:
    """A proxy and a log could believe different ones."""
    assert decide(client_ids=tuple(client_ids)) == BAD_CLIENT_ID  # type: ignore[arg-type]


def test_the_refusal_describes_a_valid_client_id() -> None:
    assert INVALID_CLIENT_ID == (
        "invalid clientId; expected one value of 1 to 128 ASCII letters, digits and ._:@-, "
        "starting with a letter or digit"
    )


@given(st.text(max_size=200) | st.from_regex(CLIENT_ID, fullmatch=True))
def test_a_client_id_is_accepted_unchanged_or_refused(client_id: str) -> None:
    valid = 1 <= len(client_id) <= 128 and client_id[0] in FIRST and ALLOWED.issuperset(client_id)

    assert decide(client_ids=(client_id,)) == (Admitted(client_id) if valid else BAD_CLIENT_ID)


@pytest.mark.parametrize("origin", [*ORIGINS, "HTTPS://Dashboard.Example.com", None])
def test_an_allowed_origin_may_connect(origin: str | None) -> None:
    """A client that is no browser sends none."""
    assert decide(origins=ORIGINS, origin=origin) == Admitted()


@pytest.mark.parametrize(
    "origin",
    [
        *("", "null", "*", "https://evil.example.com", "http://dashboard.example.com"),
        *("https://dashboard.example.com:8443", "https://dashboard.example.com.evil.example"),
        *("https://dashboard.example.com/", "http://localhost"),
    ],
)
def test_another_origin_is_forbidden_before_anything_else_is_checked(origin: str) -> None:
    sent: Any = {"origin": origin, "token": "alice's", "client_ids": ("-",)}

    assert decide(origins=ORIGINS, with_tokens=True, **sent) == WRONG_ORIGIN


@pytest.mark.parametrize(
    ("sent", "token"),
    [
        ({"authorization": "Bearer T"}, "T"),
        ({"authorization": "bearer T"}, "T"),
        ({"authorization": "BEARER  T "}, "T"),
        ({"subprotocols": ("bearer", "T")}, "T"),
        ({"subprotocols": ("Bearer", "T")}, "T"),
        ({"subprotocols": ("chat", "bearer", "T", "other")}, "T"),
        ({"token": "T"}, "T"),
        ({"authorization": "Bearer T", "subprotocols": ("bearer", "U"), "token": "V"}, "T"),
        ({"subprotocols": ("bearer", "T"), "token": "V"}, "T"),
        ({"authorization": "Basic QTpC", "token": "T"}, "T"),
        ({"authorization": "Bearer ", "subprotocols": ("bearer", "T")}, "T"),
        ({}, None),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Basic QTpC"}, None),
        ({"authorization": "T"}, None),
        ({"subprotocols": ("bearer",)}, None),
        ({"subprotocols": ("T", "bearer")}, None),
        ({"subprotocols": ("chat", "T")}, None),
        ({"token": ""}, None),
    ],
)
def test_the_token_comes_from_the_header_then_the_subprotocol_then_the_parameter(
    sent: dict[str, object], token: str | None
) -> None:
    handshake = Handshake("L0SM9cOFvHcCIhw=", **sent)  # type: ignore[arg-type] # fields of any type

    assert bearer_token(handshake) == token


@pytest.mark.parametrize(
    ("sent", "decision"),
    [
        ({"authorization": "Bearer alice's"}, Admitted("alice", None, EXPIRY)),
        ({"subprotocols": ("bearer", "alice's")}, Admitted("alice", "bearer", EXPIRY)),
        ({"token": "alice's"}, Admitted("alice", None, EXPIRY)),
        ({"token": "alice's", "client_ids": ("alice", "alice")}, Admitted("alice", None, EXPIRY)),
        # the issuer chooses the names, also ones that are no valid clientId without a token
        (
            {"token": "odd one's", "client_ids": ("auth0|62 é",)},
            Admitted("auth0|62 é", None, EXPIRY),
        ),
        ({"client_ids": ("alice",)}, NO_TOKEN),
        ({"token": "expired"}, BAD_TOKEN),
        ({"authorization": "Bearer expired", "token": "alice's"}, BAD_TOKEN),
        ({"token": "orphan"}, NO_KEYS),
        *(
            ({"token": "alice's", "client_ids": (client_id,)}, OTHER_CLIENT)
            for client_id in ("bob", "Alice", "alic", "alice1")
        ),
        *(
            ({"token": "alice's", "client_ids": client_ids}, BAD_CLIENT_ID)
            for client_ids in (("",), ("alice", "bob"), ("a b",))
        ),
    ],
)
def test_with_tokens_the_client_is_the_subject(
    sent: dict[str, Any], decision: Admitted | tuple[int, str, str]
) -> None:
    assert decide(with_tokens=True, **sent) == decision


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"origin": "null"}, "Origin is 'null'"),
        # a clientId is cut: it may be a token in the wrong place
        (
            {"client_ids": ("e" * 31 + "!secret", "b")},
            f"clientId is '{'e' * 31}!' and 'b'",
        ),
        ({"token": "alice's", "client_ids": ("bob",)}, "clientId is 'bob', not the subject"),
        ({"token": "expired"}, "invalid token: ExpiredSignatureError"),
        (
            {"token": "orphan"},
            "could not fetch keys from 'https://issuer.example.com': timed out",
        ),
    ],
)
def test_the_log_gets_the_cause_of_a_refusal(sent: dict[str, object], expected: str) -> None:
    assert detail(**sent) == expected


@given(
    st.lists(st.text(max_size=4), max_size=3),
    st.none() | st.text(max_size=12),
    st.none() | st.text(max_size=4),
    st.lists(st.text(max_size=8) | st.just("bearer"), max_size=4),
    st.none() | st.text(max_size=8),
)
def test_nobody_connects_without_a_valid_token(
    client_ids: list[str],
    authorization: str | None,
    token: str | None,
    subprotocols: list[str],
    origin: str | None,
) -> None:
    decision = decide(
        origins=ORIGINS,
        with_tokens=True,
        client_ids=tuple(client_ids),
        authorization=authorization,
        token=token,
        subprotocols=tuple(subprotocols),
        origin=origin,
    )

    assert decision in (NO_TOKEN, BAD_TOKEN, WRONG_ORIGIN)


def test_every_refusal_is_documented() -> None:
    document = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \|", document, re.MULTILINE)
    refusals = (WRONG_ORIGIN, BAD_CLIENT_ID, NO_TOKEN, BAD_TOKEN, NO_KEYS, OTHER_CLIENT)

    assert [(int(status), body, reason) for reason, status, body in table] == [
        (status, "describes a valid `clientId`" if status == 400 else f"`{body}`", reason)
        for status, body, reason in refusals
    ]
    assert tuple(reason for _, _, reason in refusals) == REASONS
