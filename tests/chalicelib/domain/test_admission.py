"""Who may connect, and as whom."""

import re
import string

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
from tests.conftest import ROOT

IDENTITY = ROOT / "docs" / "identity.md"
ALLOWED = frozenset(string.ascii_letters + string.digits + "._:@-")
FIRST = frozenset(string.ascii_letters + string.digits)
HANDSHAKE = Handshake("L0SM9cOFvHcCIhw=")
UNAUTHORIZED = (401, "Unauthorized")


def handshake(**sent: object) -> Handshake:
    """Give a handshake with what a client sent."""
    return Handshake("L0SM9cOFvHcCIhw=", **sent)  # type: ignore[arg-type] # fields of any type


def subject_of(token: str) -> str:
    """Know two tokens, and fail as a verifier does on others."""
    match token:
        case "alice's":
            return "alice"
        case "odd one's":
            return "auth0|62 é"
        case "orphan":
            raise KeysUnavailableError("https://issuer.example.com", "timed out")
        case _:
            raise TokenError("ExpiredSignatureError")


def refusal(decision: Admitted | Refused) -> tuple[int, str, str]:
    """Give what the client sees and what the log is told."""
    assert isinstance(decision, Refused)
    return decision.status, decision.body, decision.reason


def test_a_client_that_says_nothing_is_anonymous() -> None:
    """Nothing is asked for unless a setting asks for it."""
    assert admit(HANDSHAKE, (), None) == Admitted(None, None)


@pytest.mark.parametrize(
    "client_id",
    ["a", "Z", "0", "a.b", "dashboard:7", "alice@example.com", "a_b-c", "9" * 128, "a" + "@" * 127],
)
def test_a_good_client_id_is_taken(client_id: str) -> None:
    """The shapes that are accepted, up to the longest."""
    assert admit(handshake(client_ids=(client_id,)), (), None) == Admitted(client_id)


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        " ",
        *("._:@-"),
        "-a",
        "a b",
        " a",
        "a ",
        "a\n",
        "a\r\nX-Evil: 1",
        "a\x00",
        "a\x7f",
        "a/b",
        "a#b",
        "a|b",
        "a,b",
        "<b>",
        "é",
        "aé",
        "a\u0663",
        "a\uff21",
        "a\u200b",
        "9" * 129,
    ],
)
def test_any_other_client_id_is_a_bad_request(client_id: str) -> None:
    """The body says what is accepted."""
    decision = admit(handshake(client_ids=(client_id,)), (), None)

    assert refusal(decision) == (400, INVALID_CLIENT_ID, "client_id")


def test_the_refusal_says_what_is_accepted() -> None:
    """A client's author reads it in the answer to his handshake."""
    assert "1 to 128 ASCII letters, digits and ._:@-" in INVALID_CLIENT_ID
    assert "starting with a letter or digit" in INVALID_CLIENT_ID


@given(st.text(max_size=200) | st.from_regex(CLIENT_ID, fullmatch=True))
def test_a_client_id_is_taken_as_it_is_or_refused(client_id: str) -> None:
    """There is nothing in between, such as one that is trimmed or cut."""
    accepted = (
        1 <= len(client_id) <= 128 and client_id[0] in FIRST and ALLOWED.issuperset(client_id)
    )

    decision = admit(handshake(client_ids=(client_id,)), (), None)

    if accepted:
        assert decision == Admitted(client_id)
    else:
        assert refusal(decision)[0] == 400


@pytest.mark.parametrize(
    ("client_ids", "accepted"),
    [
        (("a", "a"), True),
        (("a", "a", "a"), True),
        (("a", "b"), False),
        (("a", "a", "b"), False),
        (("a", ""), False),
        (("a", "A"), False),
        (("-", "-"), False),
    ],
)
def test_a_client_id_given_twice_has_to_be_the_same(
    client_ids: tuple[str, ...], accepted: bool
) -> None:
    """Two different ones would leave open which of them a proxy or a log believed."""
    decision = admit(handshake(client_ids=client_ids), (), None)

    assert decision == Admitted("a") if accepted else refusal(decision)[0] == 400


def test_a_refused_client_id_is_logged_cut() -> None:
    """It may be a token in the wrong place, of which the log must not get the signature."""
    decision = admit(handshake(client_ids=("e" * 31 + "!secret", "b")), (), None)

    assert isinstance(decision, Refused)
    assert decision.detail == f"clientId is '{'e' * 31}!' and 'b'"


ORIGINS = ("https://dashboard.example.com", "http://localhost:3000")


@pytest.mark.parametrize("origin", [*ORIGINS, "HTTPS://Dashboard.Example.com", None])
def test_an_allowed_origin_may_connect(origin: str | None) -> None:
    """Scheme and host are compared in any case; what is no browser sends no Origin."""
    assert admit(handshake(origin=origin), ORIGINS, None) == Admitted()


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://evil.example.com",
        "http://dashboard.example.com",
        "https://dashboard.example.com:8443",
        "https://dashboard.example.com.evil.example",
        "https://dashboard.example.com/",
        "http://localhost",
    ],
)
def test_another_origin_is_forbidden(origin: str) -> None:
    """A page of another site cannot use a visitor's network or cookies to connect."""
    decision = admit(handshake(origin=origin), ORIGINS, None)

    assert refusal(decision) == (403, "Forbidden", "origin")
    assert isinstance(decision, Refused)
    assert repr(origin) in decision.detail


def test_every_origin_may_connect_when_none_is_named() -> None:
    """The check is off by default."""
    assert admit(handshake(origin="https://anywhere.example"), (), None) == Admitted()


def test_the_origin_is_looked_at_first() -> None:
    """A token is not even checked for a page that may not connect."""
    sent = handshake(origin="https://evil.example", token="alice's", client_ids=("-",))

    assert refusal(admit(sent, ORIGINS, subject_of))[2] == "origin"


@pytest.mark.parametrize(
    ("sent", "token", "selected"),
    [
        ({"authorization": "Bearer T"}, "T", None),
        ({"authorization": "bearer T"}, "T", None),
        ({"authorization": "BEARER  T "}, "T", None),
        ({"subprotocols": ("bearer", "T")}, "T", "bearer"),
        ({"subprotocols": ("Bearer", "T")}, "T", "Bearer"),
        ({"subprotocols": ("chat", "bearer", "T", "other")}, "T", "bearer"),
        ({"token": "T"}, "T", None),
        ({"authorization": "Bearer T", "subprotocols": ("bearer", "U"), "token": "V"}, "T", None),
        ({"subprotocols": ("bearer", "T"), "token": "V"}, "T", "bearer"),
        ({"authorization": "Basic QTpC", "token": "T"}, "T", None),
        ({"authorization": "Bearer ", "subprotocols": ("bearer", "T")}, "T", "bearer"),
        ({}, None, None),
        ({"authorization": "Bearer"}, None, None),
        ({"authorization": "Bearer "}, None, None),
        ({"authorization": "Basic QTpC"}, None, None),
        ({"authorization": "T"}, None, None),
        ({"subprotocols": ("bearer",)}, None, None),
        ({"subprotocols": ("T", "bearer")}, None, None),
        ({"subprotocols": ("chat", "T")}, None, None),
        ({"token": ""}, None, None),
    ],
)
def test_the_token_is_found_in_three_places(
    sent: dict[str, object], token: str | None, selected: str | None
) -> None:
    """The header comes before the subprotocol, and that before the parameter."""
    assert bearer_token(handshake(**sent)) == (token, selected)


@pytest.mark.parametrize(
    ("sent", "subprotocol"),
    [
        ({"authorization": "Bearer alice's"}, None),
        ({"subprotocols": ("bearer", "alice's")}, "bearer"),
        ({"token": "alice's"}, None),
    ],
)
def test_the_subject_of_the_token_is_the_client(
    sent: dict[str, object], subprotocol: str | None
) -> None:
    """The answer selects the subprotocol that a browser offered, and no other."""
    assert admit(handshake(**sent), (), subject_of) == Admitted("alice", subprotocol)


def test_without_a_token_nobody_is_known() -> None:
    """A clientId that anybody can write is no proof."""
    decision = admit(handshake(client_ids=("alice",)), (), subject_of)

    assert refusal(decision) == (*UNAUTHORIZED, "no_token")


def test_a_bad_token_is_refused_without_telling_why() -> None:
    """The client sees what it sees without a token; the log gets the check that failed."""
    decision = admit(handshake(token="expired"), (), subject_of)

    assert refusal(decision) == (*UNAUTHORIZED, "bad_token")
    assert isinstance(decision, Refused)
    assert decision.detail == "invalid token: ExpiredSignatureError"


def test_a_bad_token_is_not_helped_by_a_good_one_elsewhere() -> None:
    """Only the first place that holds a token counts."""
    sent = handshake(authorization="Bearer expired", token="alice's")

    assert refusal(admit(sent, (), subject_of))[2] == "bad_token"


def test_keys_that_cannot_be_had_make_the_service_unavailable() -> None:
    """The token may be good, so the client may come again."""
    decision = admit(handshake(token="orphan"), (), subject_of)

    assert refusal(decision) == (503, "Service unavailable", "no_keys")
    assert isinstance(decision, Refused)
    assert "https://issuer.example.com" in decision.detail


def test_a_client_id_that_is_the_subject_is_accepted() -> None:
    """Also one that would not be accepted without a token: the issuer names its users."""
    for token, subject in (("alice's", "alice"), ("odd one's", "auth0|62 é")):
        sent = handshake(token=token, client_ids=(subject, subject))

        assert admit(sent, (), subject_of) == Admitted(subject)


@pytest.mark.parametrize("client_ids", [("bob",), ("Alice",), ("alic",), ("alice1",)])
def test_a_client_id_of_somebody_else_is_forbidden(client_ids: tuple[str, ...]) -> None:
    """The token says who it is."""
    decision = admit(handshake(token="alice's", client_ids=client_ids), (), subject_of)

    assert refusal(decision) == (403, "Forbidden", "other_client")


@pytest.mark.parametrize("client_ids", [("",), ("alice", "bob"), ("a b",)])
def test_a_malformed_client_id_is_a_bad_request_with_a_token_too(
    client_ids: tuple[str, ...],
) -> None:
    """What is accepted does not depend on who asks."""
    decision = admit(handshake(token="alice's", client_ids=client_ids), (), subject_of)

    assert refusal(decision) == (400, INVALID_CLIENT_ID, "client_id")


@given(
    st.lists(st.text(max_size=4), max_size=3),
    st.none() | st.text(max_size=12),
    st.none() | st.text(max_size=4),
    st.lists(st.text(max_size=8) | st.just("bearer"), max_size=4),
    st.none() | st.text(max_size=8),
)
def test_nobody_gets_in_without_a_good_token(
    client_ids: list[str],
    authorization: str | None,
    token: str | None,
    subprotocols: list[str],
    origin: str | None,
) -> None:
    """Whatever else a client sends; and any decision is one of the known refusals."""
    sent = handshake(
        client_ids=tuple(client_ids),
        authorization=authorization,
        token=token,
        subprotocols=tuple(subprotocols),
        origin=origin,
    )

    decision = admit(sent, ORIGINS, subject_of)

    assert refusal(decision)[:2] in (UNAUTHORIZED, (403, "Forbidden"))


def test_every_refusal_is_documented() -> None:
    """The table in the documentation has each reason with its status and body."""
    table = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (.+?) \|", IDENTITY.read_text(encoding="utf-8"), re.MULTILINE
    )
    documented = {reason: (int(status), body.strip("`")) for reason, status, body in table}

    cases: list[tuple[dict[str, object], bool]] = [
        ({"origin": "null"}, False),
        ({"client_ids": ("-",)}, False),
        ({}, True),
        ({"token": "expired"}, True),
        ({"token": "orphan"}, True),
        ({"token": "alice's", "client_ids": ("bob",)}, True),
    ]
    seen = [refusal(admit(handshake(**c), ORIGINS, subject_of if t else None)) for c, t in cases]

    assert documented == {
        reason: (status, "describes a valid `clientId`" if status == 400 else body)
        for status, body, reason in seen
    }
    assert tuple(documented) == REASONS
