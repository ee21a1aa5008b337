"""Messages and positions."""

import json
from typing import Any

import pytest

from incident_websocket.position import MAX_NUMBER, parse_position
from incident_websocket.protocol import Goodbye, Notification, Pong, Refused, parse
from tests.support.streams import notification, recovered


@pytest.mark.parametrize(
    "position",
    [
        {},
        {"all": 0},
        {"all": MAX_NUMBER},
        {"own": {"seq": 7, "of": "ada"}},
        {"all": 1, "own": {"seq": 7, "of": "ada"}},
    ],
)
def test_a_position_is_copied(position: Any) -> None:
    assert parse_position(json.loads(json.dumps(position))) == position


@pytest.mark.parametrize(
    "position",
    [
        None,
        7,
        {"all": -1},
        {"all": MAX_NUMBER + 1},
        {"all": True},
        {"all": 1.5},
        {"all": "1"},
        {"own": 7},
        {"own": {"seq": 7}},
        {"own": {"seq": -7, "of": "ada"}},
        {"own": {"seq": 7, "of": None}},
    ],
)
def test_what_is_no_position_is_refused(position: Any) -> None:
    with pytest.raises(ValueError, match=r'expected \{"all": n'):
        parse_position(position)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "pong", "at": 1}, Pong()),
        ({"type": "pong", "n": 2, "heads": {"all": 3, "own": 0}}, Pong(2, {"own": 0, "all": 3})),
        ({"type": "pong", "n": 2, "heads": {"all": "3"}}, Pong(2)),
        ({"type": "error", "message": "m", "code": "c", "n": 2}, Refused("m", "c", 2)),
        ({"message": "Forbidden", "connectionId": "a"}, Refused("Forbidden", "try_again")),
        (
            {"type": "goodbye", "reason": "expired", "message": None, "reconnect": True},
            Goodbye("expired", None, reconnect=True),
        ),
        (
            {"type": "goodbye", "reason": "kicked", "message": "m", "reconnect": False},
            Goodbye("kicked", "m", reconnect=False),
        ),
        ({"type": "from the future"}, None),
        (
            {"type": "notification", "id": "a", "sentAt": 1, "subject": "s", "message": [2]},
            Notification("a", 1, "s", [2]),
        ),
    ],
)
def test_a_message_is_parsed(message: dict[str, Any], expected: object) -> None:
    assert parse(json.dumps(message)) == expected


@pytest.mark.parametrize(
    "message",
    [
        [],
        notification("all", 3, 3),
        notification("all", 3, -1),
        notification("some", 3, 2),
        recovered([{**notification("all", 3, 2), "seq": None}], {"all": 3}, more=False),
        recovered([], {"all": "3"}, more=False),
        {"type": "recovered"},
        {"type": "goodbye"},
    ],
)
def test_a_malformed_message_is_refused(message: Any) -> None:
    with pytest.raises(ValueError, match=r"malformed message|the position is"):
        parse(json.dumps(message))
