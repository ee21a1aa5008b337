"""The question who is here, well formed and not."""

from typing import Any

import pytest

from chalicelib.domain.errors import RequestError
from chalicelib.domain.presence import MOST_CLIENTS, Presence, Question, parse

NAMES = ["ada", "bob", "cy"]


@pytest.mark.parametrize(
    ("event", "question"),
    [
        ({"clientIds": ["ada"]}, Question(("ada",), False)),
        ({"clientIds": NAMES, "look": True}, Question(("ada", "bob", "cy"), True)),
        ({"clientIds": ["ada", "bob", "ada"]}, Question(("ada", "bob"), False)),
        ({"clientIds": NAMES, "after": None}, Question(("ada", "bob", "cy"), False)),
        ({"clientIds": NAMES, "after": "ada"}, Question(("bob", "cy"), False)),
        ({"clientIds": NAMES, "after": "cy"}, Question((), False)),
        ({"clientIds": ["Zoë Ångström", "a" * 500]}, Question(("Zoë Ångström", "a" * 500), False)),
    ],
)
def test_a_question_is_parsed(event: dict[str, Any], question: Question) -> None:
    assert parse(event) == question


def test_so_many_clients_are_taken_and_not_one_more() -> None:
    names = [f"client{number}" for number in range(MOST_CLIENTS)]

    assert len(parse({"clientIds": names}).client_ids) == MOST_CLIENTS
    with pytest.raises(RequestError) as caught:
        parse({"clientIds": [*names, "one more"]})
    assert str(caught.value) == "clientIds is '1001 names'; expected a list of 1 to 1000 names"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"clientIds": []}, "clientIds is '0 names'; expected a list of 1 to 1000 names"),
        ({"clientIds": "ada"}, "clientIds is 'ada'; expected a list"),
        ({"clientIds": None}, "clientIds is None; expected a list"),
        ({"clientIds": ["ada", ""]}, "clientIds[1] is ''; expected a string, not empty"),
        ({"clientIds": [7]}, "clientIds[0] is 7; expected a string"),
        ({"clientIds": ["\ud800"]}, r"clientIds[0] is '\ud800'; expected a string"),
        ({"clientIds": NAMES, "look": 1}, "look is 1; expected true or false"),
        ({"clientIds": NAMES, "after": "dan"}, "after is 'dan'; expected null or one of clientIds"),
        ({"clientIds": NAMES, "after": ["ada"]}, "after is ['ada']; expected null or one of"),
        ({"clientIds": NAMES, "Look": True}, "field is 'Look'; expected {"),
        ({"clientIds": NAMES, "clientId": "ada"}, "field is 'clientId'; expected {"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(event: dict[str, Any], error: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(event)

    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("presence", "look", "fields"),
    [
        (
            Presence("ada", 2, 1000, 2000),
            True,
            {"present": True, "since": 1000, "connections": 2, "lastActiveAt": 2000},
        ),
        (
            Presence("ada", 2, 1000, None),
            False,
            {"present": True, "since": 1000, "connections": 2},
        ),
        (
            Presence("ada", 0, None, None),
            True,
            {"present": False, "since": None, "connections": 0, "lastActiveAt": None},
        ),
    ],
)
def test_an_answer_tells_the_last_activity_only_after_a_look(
    presence: Presence, fields: dict[str, Any], *, look: bool
) -> None:
    assert presence.to_json(look=look) == {"clientId": "ada", **fields}
