"""Nobody home: messages of the queue, and who is announced."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import QueuedMessageError
from chalicelib.domain.unclaimed import (
    CLIENTS_A_MESSAGE,
    Claim,
    Queued,
    Waiting,
    Why,
    clients_a_message,
    parse,
    unclaimed,
)

HANDED_OUT, RECEIVED = Claim(is_received=False), Claim(is_received=True)


def queued(*clients: Waiting, receipt: bool = False, message: Any = "hello") -> Queued:
    """Return a message of the queue."""
    return Queued("id", 1731324924561, "Database down", message, receipt, clients)


@pytest.mark.parametrize(
    ("is_posted", "receipt", "claim", "why"),
    [
        (False, False, None, Why.NOT_CONNECTED),
        (False, False, HANDED_OUT, None),
        (False, False, RECEIVED, None),
        (False, True, None, Why.NOT_CONNECTED),
        (False, True, HANDED_OUT, Why.NOT_RECEIVED),
        (False, True, RECEIVED, None),
        (True, True, None, Why.NOT_RECEIVED),
        (True, True, HANDED_OUT, Why.NOT_RECEIVED),
        (True, True, RECEIVED, None),
    ],
)
def test_a_client_is_announced_unless_it_claimed_the_notification(
    *, is_posted: bool, receipt: bool, claim: Claim | None, why: Why | None
) -> None:
    """With a receipt, only an acknowledgement counts."""
    ada, bob = Waiting("ada", 5, is_posted), Waiting("bob", 6, is_posted=False)
    claims = {"bob": RECEIVED, **({"ada": claim} if claim else {})}

    told = unclaimed(queued(ada, bob, receipt=receipt), claims)

    assert told == ([(ada, why)] if why else [])


@given(
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
    st.lists(
        st.builds(Waiting, st.text(), st.none() | st.integers(1), st.booleans()),
        min_size=1,
        max_size=CLIENTS_A_MESSAGE,
    ),
)
def test_a_message_is_read_as_it_was_written(message: object, clients: list[Waiting]) -> None:
    """In ASCII, because SQS refuses some characters."""
    sent = queued(*clients, receipt=True, message=message)

    text = sent.to_text()

    assert text.isascii()
    assert parse(text) == sent


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "notification"},
        {"clients": []},
        {"clients": [["ada", 5, False]] * (CLIENTS_A_MESSAGE + 1)},
        {"clients": [["ada", 5]]},
        {"clients": [["ada", "five", False]]},
        {"clients": None},
        {"sentAt": None},
        {"sentAt": float("inf")},
        {"clients": [["ada", float("-inf"), False]]},
    ],
)
def test_another_message_is_refused(changed: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(queued(Waiting("a", 1, is_posted=True)).to_text()), **changed})

    with pytest.raises(QueuedMessageError, match="as notify sends it"):
        parse(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"type": "unclaimed"}', "[" * 50_000])
def test_what_is_no_message_at_all_is_refused(text: str) -> None:
    with pytest.raises(QueuedMessageError):
        parse(text)


@pytest.mark.parametrize(
    ("envelope_bytes", "clients"), [(100, 100), (10_000, 100), (20_000, 50), (131_072, 7)]
)
def test_large_notifications_have_fewer_clients_a_message(
    envelope_bytes: int, clients: int
) -> None:
    """So that ten calls of EventBridge, of 256 KB each, announce all of them."""
    assert clients_a_message(envelope_bytes) == clients
    calls_by_size = -(-clients // (262_144 // (envelope_bytes + 1000)))
    assert max(calls_by_size, -(-clients // 10)) <= 10


def test_the_detail_of_the_event_says_what_was_sent_and_why() -> None:
    assert queued(message={"incident": 4711}).detail("ada", 5, Why.NOT_RECEIVED) == {
        "id": "id",
        "clientId": "ada",
        "seq": 5,
        "sentAt": 1731324924561,
        "subject": "Database down",
        "message": {"incident": 4711},
        "why": "not received",
    }
