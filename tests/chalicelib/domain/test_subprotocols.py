from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.admission import Admitted, admit
from chalicelib.domain.errors import TokenError
from chalicelib.domain.events import Handshake
from chalicelib.domain.subjects import Identity

TOKEN = "alice's"
EXPIRY = 1_731_325_000
SPOKEN = ("chat", "v2.chat", "bearer")


def identity_of(token: str) -> Identity:
    if token != TOKEN:
        raise TokenError("unknown key id (kid)")
    return Identity("alice", EXPIRY)


def selected(sent: Mapping[str, Any], *, spoken: tuple[str, ...] = (), tokens: bool = False) -> Any:
    """Return the subprotocol that the answer to a handshake selects."""
    handshake = Handshake("L0SM9cOFvHcCIhw=", **sent)
    decision = admit(handshake, (), identity_of if tokens else None, spoken)
    assert isinstance(decision, Admitted)
    return decision.subprotocol


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("spoken", [(), SPOKEN])
@pytest.mark.parametrize(
    ("sent", "chosen"),
    [
        ({"subprotocols": ("bearer", TOKEN)}, "bearer"),
        ({"subprotocols": ("Bearer", TOKEN)}, "Bearer"),
        ({"subprotocols": ("chat", "bearer", TOKEN)}, "bearer"),
        ({"subprotocols": ("bearer", "T"), "authorization": f"Bearer {TOKEN}"}, "bearer"),
        ({"subprotocols": ("bearer",), "authorization": f"Bearer {TOKEN}"}, "bearer"),
        ({"subprotocols": ("bearer", TOKEN), "token": "other"}, "bearer"),
        ({"subprotocols": ("chat", "bearer"), "token": TOKEN}, "bearer"),
    ],
)
def test_bearer_is_selected_whenever_it_is_offered_with_a_token(
    sent: Mapping[str, Any], chosen: str, spoken: tuple[str, ...], tokens: bool
) -> None:
    """Whatever the settings are, and wherever the token stands."""
    assert selected(sent, spoken=spoken, tokens=tokens) == chosen


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (("chat",), (), None),
        (("chat",), ("chat",), "chat"),
        (("v2.chat", "chat"), ("chat", "v2.chat"), "v2.chat"),
        (("soap", "chat"), ("chat", "v2.chat"), "chat"),
        (("CHAT",), ("chat",), None),
        (("bearer",), (), None),
        (("bearer",), SPOKEN, "bearer"),
        ((), SPOKEN, None),
    ],
)
def test_otherwise_the_first_offered_one_of_the_setting_is_selected(
    offered: tuple[str, ...], spoken: tuple[str, ...], chosen: str | None
) -> None:
    assert selected({"subprotocols": offered}, spoken=spoken) == chosen


@given(
    st.lists(st.sampled_from(["bearer", "chat", "soap", TOKEN]), max_size=5),
    st.none() | st.just(TOKEN),
)
def test_only_an_offered_name_is_selected_and_never_the_token(
    offered: list[str], parameter: str | None
) -> None:
    chosen = selected({"subprotocols": tuple(offered), "token": parameter}, spoken=("chat",))

    assert chosen is None or chosen in offered
    assert chosen != TOKEN


def test_a_token_in_the_wrong_place_is_not_shown() -> None:
    """The log gets the detail of a refusal."""
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0." + "x" * 200
    handshake = Handshake("L0SM9cOFvHcCIhw=", client_ids=(token, "a b"))

    decision = admit(handshake, (), None)

    assert getattr(decision, "detail", None) == "clientId is a token and 'a b'"
