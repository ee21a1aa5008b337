"""Positions: how far a reader has come in each stream. They are plain data, to be saved as JSON."""

from typing import Any, Literal, TypedDict, TypeGuard

Stream = Literal["all", "own"]  # broadcasts, and the notifications of one client
MAX_NUMBER = 2**53 - 1  # the largest integer that JavaScript represents exactly
EXPECTED = (
    '{"all": n, "own": {"seq": n, "of": "ada"}} with n from 0 to 2^53 - 1, each part optional'
)


class OwnPosition(TypedDict):
    """The number `seq` in the stream of the client `of`."""

    seq: int
    of: str


class Position(TypedDict, total=False):
    """A position in each stream that has one."""

    all: int
    own: OwnPosition


def is_number(value: object) -> TypeGuard[int]:
    """Return whether `value` is a number of a stream."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def parse_position(value: Any) -> Position:
    """Return a copy of a position. Raise `ValueError` if it is not one."""
    position: Position = {}
    match value:
        case {"all": number} if is_number(number):
            position["all"] = number
    match value:
        case {"own": {"seq": number, "of": str(client_id)}} if is_number(number):
            position["own"] = {"seq": number, "of": client_id}
    if not isinstance(value, dict) or len(position) != len({"all", "own"} & value.keys()):
        raise ValueError(f"the position is {value!r}; expected {EXPECTED}")
    return position
