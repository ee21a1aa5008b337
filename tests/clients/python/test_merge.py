"""The merge rule."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_websocket.merge import MOST_HELD, REMEMBERED_IDS
from incident_websocket.position import Position
from tests.support.merging import Life, Reader, live_a_life, load, replay
from tests.support.streams import CLIENT, STREAMS, Entry, HistoryModel, notification, recovered


def check(reader: Reader, history: HistoryModel) -> None:
    """Check what a reader was given: nothing lost without a word, each once, ascending."""
    life = reader.life
    steps = [
        (step, max(table for begin, table in reader.tables if begin <= number))
        for number, steps in enumerate(life.steps)
        for step in steps
    ]
    given = [step["item"] for step, _ in steps if isinstance(step["item"], str)]
    gaps = [(step["item"], table) for step, table in steps if isinstance(step["item"], dict)]
    assert len(given) == len(set(given))
    for name in STREAMS:
        stream = history.streams[name]
        begin = baseline(life, name)
        first_table = next((table for step, table in steps if step["stream"] == name), 0)
        own_gaps = [(gap, table) for gap, table in gaps if gap["stream"] == name]
        for entry in stream.recorded:
            told = any(covers(gap, table, entry) for gap, table in own_gaps)
            before = entry["seq"] <= begin or entry["recordedAt"] < first_table
            assert before or entry["id"] in given or told, entry
        for gap, _ in own_gaps:
            assert is_foreign(gap) or not in_vain(gap, history), gap
        position: int | None = None
        for step, _ in steps:
            if step["stream"] == name:
                ascends = position is None or step["seq"] > position or is_foreign(step["item"])
                assert ascends, step
                position = step["seq"]


def baseline(life: Life, name: str) -> int:
    """Return the number after which a reader is to be given everything."""
    start: Any = life.start or {}
    if name == "own" and start.get("own", {}).get("of") == CLIENT:
        return int(start["own"]["seq"])
    if name == "all" and "all" in start:
        return int(start["all"])
    firsts = [step for steps in life.steps for step in steps if step["stream"] == name]
    return int(firsts[0]["seq"]) if firsts else 0


def is_foreign(item: Any) -> bool:
    return isinstance(item, dict) and item["to"] < item["after"]


def covers(gap: dict[str, Any], table: int, entry: Entry) -> bool:
    """Return whether a gap tells that an entry may be lost. `table` is the one at that time."""
    if is_foreign(gap):
        return bool(entry["seq"] <= gap["to"] or entry["recordedAt"] < table)
    return bool(gap["after"] < entry["seq"] <= gap["to"])


def in_vain(gap: dict[str, Any], history: HistoryModel) -> bool:
    """Return whether nothing is missing in a gap of one table."""
    stream = history.streams[gap["stream"]]
    for entry in stream.recorded:
        inside = gap["after"] < entry["seq"] <= gap["to"]
        if (inside and entry["seq"] not in stream.entries) or (
            entry["prev"] == 0 and gap["after"] < entry["seq"] <= gap["to"] + 1
        ):
            return False
    return True


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 120))
def test_everything_is_given_once_and_in_order_or_told_missing(seed: int, length: int) -> None:
    reader, history = live_a_life(Random(seed), length)

    check(reader, history)


def test_the_shared_cases_are_what_the_rule_does() -> None:
    """The client in JavaScript is tested with the same ones."""
    for life in load():
        assert replay(life).life.steps == life.steps


CHAIN = [notification("all", seq, seq - 1) for seq in range(1, 10)]  # [0] is number 1, after 0


def answer(
    entries: list[Entry], position: int, *, more: bool = False, own: Any = None
) -> dict[str, Any]:
    """Return an answer about the stream `all`."""
    positions = {"all": position} | ({"own": own} if own else {})
    return recovered(entries, positions, more=more)


def given_by(reader: Reader) -> list[Any]:
    """Return the items that a reader was given."""
    items = [step["item"] for steps in reader.life.steps for step in steps]
    return [item for item in items if item is not None]


def at(number: int | None) -> Position | None:
    return None if number is None else {"all": number}


def gap(after: int, to: int) -> dict[str, Any]:
    return {"stream": "all", "after": after, "to": to}


@pytest.mark.parametrize(
    ("asked", "page", "live", "expected", "position"),
    [
        pytest.param(3, answer([], 3), [CHAIN[3]], ["all-4"], 4, id="the next one"),
        pytest.param(3, answer([], 3), [CHAIN[4], CHAIN[3]], ["all-4", "all-5"], 5, id="order"),
        pytest.param(3, answer([], 3), [CHAIN[4]], [], 3, id="held"),
        pytest.param(3, answer([], 3), [CHAIN[2], CHAIN[3], CHAIN[3]], ["all-4"], 4, id="repeats"),
        pytest.param(3, answer(CHAIN[4:5], 5), [], [gap(3, 4), "all-5"], 5, id="expired before"),
        pytest.param(3, answer(CHAIN[3:4], 6), [], ["all-4", gap(4, 6)], 6, id="expired after"),
        pytest.param(3, answer([], 6), [], [gap(3, 6)], 6, id="all expired"),
        pytest.param(9, answer([], 4), [], [gap(9, 4)], 4, id="foreign"),
        pytest.param(9, answer([], 4), [CHAIN[4]], [gap(9, 4), "all-5"], 5, id="after a foreign"),
        pytest.param(0, answer([], 0), [CHAIN[0]], ["all-1"], 1, id="the first one ever"),
        pytest.param(0, answer(CHAIN[4:5], 5), [], [gap(0, 4), "all-5"], 5, id="from 0"),
        pytest.param(
            3,
            answer([notification("all", 70, 0)], 70),
            [],
            [gap(3, 69), "all-70"],
            70,
            id="a table made anew",
        ),
        pytest.param(3, answer([], 3), [notification("all", 70, 0)], [], 3, id="made anew, live"),
        pytest.param(None, answer([], 7), [CHAIN[7]], ["all-8"], 8, id="without a position"),
        pytest.param(None, answer(CHAIN[5:7], 7), [], ["all-6", "all-7"], 7, id="the last two"),
    ],
)
def test_a_page_and_what_comes_after_it(
    asked: int | None,
    page: dict[str, Any],
    live: list[Entry],
    expected: list[Any],
    position: int,
) -> None:
    start = at(asked)
    reader = Reader(start, order=True)

    reader.page(page, start)
    for entry in live:
        reader.live(entry)

    assert given_by(reader) == expected
    assert reader.merge.position == {"all": position}


@pytest.mark.parametrize(
    ("live", "page", "expected", "complete"),
    [
        pytest.param([8], answer([], 8), ["all-8"], True, id="in the page's range"),
        pytest.param([9], answer([], 8), ["all-9"], True, id="after it"),
        pytest.param([7], answer([], 8), ["all-7"], False, id="one more is missing"),
        pytest.param([6], answer(CHAIN[7:8], 8), ["all-6"], False, id="one between is missing"),
    ],
)
def test_notifications_before_the_first_answer_count(
    live: list[int], page: dict[str, Any], expected: list[str], complete: bool
) -> None:
    """Without a position, the reader begins with what it heard first."""
    reader = Reader(None, order=True)

    for number in live:
        reader.live(CHAIN[number - 1])

    assert reader.page(page, None) is complete
    assert given_by(reader) == expected


def test_what_is_held_fills_a_hole_of_the_history() -> None:
    """It came live, then expired before the recovery."""
    reader = Reader({"all": 3}, order=True)
    reader.live(CHAIN[5])

    reader.page(answer(CHAIN[7:8], 8), {"all": 3})

    assert given_by(reader) == [gap(3, 5), "all-6", gap(6, 7), "all-8"]


def test_without_order_each_is_given_as_it_comes_and_once() -> None:
    reader = Reader({"all": 3}, order=False)

    reader.live(CHAIN[5])
    reader.live(CHAIN[3])
    behind = reader.merge.holding
    reader.page(answer(CHAIN[4:6], 6), {"all": 4})

    assert given_by(reader) == ["all-6", "all-4", "all-5"]
    assert behind
    assert reader.merge.position == {"all": 6}


def test_an_id_is_given_once() -> None:
    """Also under two numbers, and without a number."""
    reader = Reader({"all": 3}, order=True)
    unrecorded = {key: CHAIN[3][key] for key in ("type", "id", "sentAt", "subject", "message")}

    reader.live(unrecorded)
    reader.live(CHAIN[3])
    reader.live(notification("all", 5, 4, "all-4"))
    reader.live(unrecorded)

    assert given_by(reader) == ["all-4"]
    assert reader.merge.position == {"all": 5}


def test_only_the_last_ids_are_remembered() -> None:
    reader = Reader({"all": 0}, order=True)
    for number in range(1, REMEMBERED_IDS + 2):
        reader.live(notification("all", number, number - 1))

    for number, identifier in enumerate(["all-2", "all-1"], start=REMEMBERED_IDS + 2):
        reader.live(notification("all", number, number - 1, identifier))

    assert reader.life.steps[-2][0]["item"] is None
    assert reader.life.steps[-1][0]["item"] == "all-1"


def test_what_is_held_is_bounded() -> None:
    """A recovery brings the rest."""
    reader = Reader({"all": 0}, order=True)
    chain = [notification("all", number, number - 1) for number in range(1, MOST_HELD + 4)]

    for entry in chain[1:]:
        reader.live(entry)
    reader.live(chain[0])

    assert len(given_by(reader)) == MOST_HELD
    assert not reader.merge.holding
    assert reader.merge.behind({"all": MOST_HELD + 3})


def own(seq: int, of: str = CLIENT) -> dict[str, Any]:
    return {"seq": seq, "of": of}


def test_the_position_of_another_client_is_dropped() -> None:
    """Nothing of the other client's stream is told missing."""
    reader = Reader({"all": 3, "own": {"seq": 900, "of": "bob"}}, order=True)

    reader.live(notification("own", 21, 20))
    reader.page(answer([], 3, own=own(20)), reader.merge.position)
    reader.live(notification("own", 21, 20))

    assert given_by(reader) == ["own-21"]
    assert reader.merge.position == {"all": 3, "own": {"seq": 21, "of": CLIENT}}


def test_notifications_before_the_first_answer_count_for_another_client_too() -> None:
    """Its history already has them when the server answers."""
    reader = Reader({"own": {"seq": 900, "of": "bob"}}, order=True)

    reader.live(notification("own", 901, 900))
    reader.merge.opened()
    for seq in (21, 22):
        reader.live(notification("own", seq, seq - 1))
    reader.page(answer([], 3, own=own(22)), reader.merge.position)

    assert given_by(reader) == ["own-21", "own-22"]
    assert reader.merge.position == {"all": 3, "own": {"seq": 22, "of": CLIENT}}


def test_a_refused_position_is_forgotten_and_told_as_a_gap() -> None:
    reader = Reader({"all": 3}, order=True)

    reader.merge.forget()
    asked = reader.merge.position
    reader.page(answer([], 7), asked)

    assert asked is None
    assert given_by(reader) == [gap(3, 7)]


def test_pages_follow_each_other() -> None:
    reader = Reader({"all": 3}, order=True)

    first = reader.page(answer(CHAIN[3:5], 5, more=True), {"all": 3})
    second = reader.page(answer(CHAIN[5:6], 6), {"all": 5})

    assert (first, second) == (False, True)
    assert given_by(reader) == ["all-4", "all-5", "all-6"]
