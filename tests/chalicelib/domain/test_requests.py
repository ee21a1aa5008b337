"""What clients ask for, well formed and not."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import RequestError
from chalicelib.domain.requests import Authenticate, Heads, Position, Received, Recover, parse

MOST = 2**53 - 1
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def recover(**fields: Any) -> Heads | Recover | Received:
    """Parse a request to recover."""
    return parse(json.dumps({"action": "recover", **fields})).request()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Recover(None, None, 0)),
        ({"after": None, "n": 7}, Recover(7, None, 0)),
        ({"after": None, "last": 50}, Recover(None, None, 50)),
        ({"after": {}}, Recover(None, Position(), 0)),
        ({"after": {"all": 0}, "last": 0}, Recover(None, Position(all=0), 0)),
        ({"after": {"all": MOST}, "n": MOST}, Recover(MOST, Position(all=MOST), 0)),
        ({"after": {"own": {"seq": 3, "of": "ada"}}}, Recover(None, Position(None, 3, "ada"), 0)),
        ({"after": {"all": None, "own": None}}, Recover(None, Position(), 0)),
        ({"after": {"all": 1, "later": True}, "more": 1}, Recover(None, Position(all=1), 0)),
    ],
)
def test_a_request_is_parsed(fields: dict[str, Any], expected: Recover) -> None:
    assert recover(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"n": -1}, "n is -1; expected an integer from 0 to 9007199254740991"),
        ({"n": "1"}, "n is '1'; expected"),
        ({"last": 51}, "last is 51; expected an integer from 0 to 50"),
        ({"last": None}, "last is None; expected an integer from 0 to 50"),
        ({"last": True}, "last is True; expected"),
        ({"after": {"all": 1}, "last": 1}, "last is 1; expected 0 with a position"),
        ({"after": 5}, "after is 5; expected null or a position such as"),
        ({"after": [1]}, "after is [1]; expected null or a position"),
        ({"after": {"all": -1}}, "after.all is -1; expected"),
        ({"after": {"all": 1.5}}, "after.all is 1.5; expected"),
        ({"after": {"all": True}}, "after.all is True; expected"),
        ({"after": {"all": MOST + 1}}, f"after.all is {MOST + 1}; expected"),
        ({"after": {"own": 5}}, 'after.own is 5; expected {"seq": 0, "of": "ada"}'),
        ({"after": {"own": {"of": "ada"}}}, "after.own.seq is None; expected an integer"),
        ({"after": {"own": {"seq": 1}}}, "after.own.of is None; expected a clientId"),
    ],
)
def test_an_invalid_request_is_told_what_is_expected(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(RequestError) as caught:
        recover(**fields)

    assert str(caught.value).startswith(error)


def test_an_error_carries_the_number_of_the_request() -> None:
    with pytest.raises(RequestError) as caught:
        recover(after=5, n=7)

    assert caught.value.n == 7


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ('{"action": "ping"}', False),
        ('{"action": "ping", "heads": false}', False),
        ('{"action": "ping", "heads": 1}', False),
        ('{"action": "ping", "heads": true}', True),
        ('{"action": "recover"}', True),
        ('{"action": "received", "seq": 1}', True),
        ('{"action": "shout"}', False),
        ("[]", False),
    ],
)
def test_only_requests_to_the_history_read_it(body: str, *, reads: bool) -> None:
    """A ping without `heads` is answered as it always was."""
    assert parse(body).reads_history is reads


def test_a_ping_asks_for_heads() -> None:
    assert parse('{"action": "ping", "heads": true, "n": 4}').request() == Heads(4)


def test_an_acknowledgement_names_an_entry() -> None:
    assert parse('{"action": "received", "seq": 9, "n": 4}').request() == Received(4, 9)


@pytest.mark.parametrize("seq", [None, 0, -1, 1.5, True, "1", MOST + 1])
def test_an_acknowledgement_of_no_entry_is_told_what_is_expected(seq: object) -> None:
    """Number 0 is the head of a stream."""
    with pytest.raises(RequestError) as caught:
        parse(json.dumps({"action": "received", "seq": seq})).request()

    assert str(caught.value) == f"seq is {seq!r}; expected an integer from 1 to {MOST}"


@given(JSON, JSON, JSON)
def test_any_request_is_valid_or_an_error(after: Any, last: Any, n: Any) -> None:
    """No message makes the function fail, and every accepted number is within its bounds."""
    with contextlib.suppress(RequestError):
        check_bounds(recover(after=after, last=last, n=n))


def check_bounds(request: Heads | Recover | Received) -> None:
    """Fail if a number is not in its bounds."""
    assert isinstance(request, Recover)
    position = request.after or Position()
    numbers = [request.n, request.last, position.all, position.own]
    assert all(number is None or 0 <= number <= MOST for number in numbers)


@given(st.integers(0, MOST) | st.none(), st.integers(0, MOST), st.text())
def test_a_position_can_be_sent_back(everybody: int | None, own: int, client_id: str) -> None:
    """A client stores it as it is."""
    position = Position(everybody, own, client_id)

    request = recover(after=position.to_json())

    assert request == Recover(None, position, 0)
    assert position.own_number(client_id) == own
    assert position.own_number(f"{client_id}x") is None


@pytest.mark.parametrize("numbered", [{}, {"n": 7}])
def test_a_request_with_a_token_is_parsed_and_does_not_show_it(numbered: dict[str, int]) -> None:
    sent = parse(json.dumps({"action": "authenticate", "token": "secret", **numbered}))

    request = sent.authenticate()

    assert request == Authenticate(numbered.get("n"), "secret")
    assert not sent.reads_history
    assert "secret" not in repr(request)
