import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.close_causes import Cause
from chalicelib.domain.goodbye import goodbye, is_announced


@pytest.mark.parametrize(
    ("reason", "reconnects"),
    [("kicked", False), ("replaced", False), ("expired", True), ("unknown", True)],
)
def test_the_reason_says_whether_the_client_comes_back(reason: str, *, reconnects: bool) -> None:
    assert goodbye(reason).reconnect is reconnects
    assert goodbye(reason, reconnect=not reconnects).reconnect is not reconnects


def test_a_goodbye_has_these_fields() -> None:
    """Clients read them by these names."""
    said = json.loads(goodbye("kicked", "bye", reconnect=True).text())

    assert said == {
        "type": "goodbye",
        "reason": "kicked",
        "message": "bye",
        "reconnect": True,
        "afterSeconds": 0,
    }


@pytest.mark.parametrize("reason", ["kicked", "replaced", "expired"])
def test_a_close_by_the_server_has_a_text_of_its_own(reason: str) -> None:
    assert goodbye(reason).message
    assert goodbye(reason, "other").message == "other"


def test_only_closes_by_the_server_are_announced() -> None:
    """A silent client does not hear it."""
    assert {cause for cause in Cause if is_announced(cause)} == {
        *(Cause.KICKED, Cause.REPLACED, Cause.EXPIRED)
    }
    with pytest.raises(KeyError):
        goodbye("silent")


@given(st.text())
def test_any_text_arrives_as_it_was_given(text: str) -> None:
    assert json.loads(goodbye("kicked", text).text().encode())["message"] == text
