"""The decisions of the history: numbers, holes, and what fits a page."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.history import (
    ALL,
    KEPT_IDS,
    PAGE_BYTES,
    POSITION_BYTES,
    Entry,
    Head,
    Place,
    Span,
    fitting,
    following,
    holes,
    mark_of,
    own_stream,
    placed,
    span,
)
from chalicelib.domain.notification import MAX_RECORDED_BYTES

NOW_MS = 1_795_600_000_000


def entry(seq: int, prev: int, *, message: str = "x") -> Entry:
    """Return an entry of the stream of everybody."""
    return Entry(Place(ALL, seq, prev, NOW_MS), f"id-{seq}", json.dumps({"message": message}))


def chain(ids: list[str]) -> list[Head]:
    """Return the heads of a stream in which these ids are recorded one after the other."""
    heads: list[Head] = []
    for number, notification_id in enumerate(ids):
        before = heads[-1] if heads else None
        heads.append(following(before, ALL, notification_id, NOW_MS + number))
    return heads


def test_the_first_number_is_the_clocks_and_each_next_one_is_one_more() -> None:
    heads = chain(["a", "b", "c"])

    assert [head.seq for head in heads] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


def test_the_time_of_a_stream_never_goes_back() -> None:
    """The clocks of two functions may differ."""
    first = following(None, ALL, "a", NOW_MS)

    second = following(first, ALL, "b", NOW_MS - 5_000)

    assert (second.seq, second.at) == (NOW_MS + 1, NOW_MS)


@given(st.integers(1, 3 * KEPT_IDS), st.data())
def test_each_of_the_newest_ids_is_found_with_its_own_number(
    count: int, data: st.DataObject
) -> None:
    heads = chain([f"id-{number}" for number in range(count)])
    number = data.draw(st.integers(0, count - 1))

    found = heads[-1].find(f"id-{number}")

    if count - number > KEPT_IDS:
        assert found is None
    else:
        assert found is not None
        assert (found.seq, found.at) == (heads[number].seq, heads[-1].at)
        is_first = number == 0 and count < KEPT_IDS
        assert found.prev == (0 if is_first else found.seq - 1)


def test_a_head_stays_under_one_kb_with_ids_of_any_length() -> None:
    """It costs one write unit, and an id that nobody expects does not block its stream."""
    [*_, head] = chain([f"{number}" * 5_000 for number in range(KEPT_IDS)])

    assert sum(map(len, head.ids)) <= KEPT_IDS * 64
    assert head.find("3" * 5_000) is not None
    assert mark_of("\ud800" * 70) != mark_of("\ud800" * 71)


@pytest.mark.parametrize(
    ("stream", "kind"), [(ALL, "all"), (own_stream("ada"), "own"), (own_stream("all"), "own")]
)
def test_a_place_adds_its_fields_to_the_envelope(stream: str, kind: str) -> None:
    """A client sees the name of the stream, not its key."""
    text = placed('{"type":"notification","message":{"a":"}"}}', Place(stream, 8, 7, NOW_MS))

    assert json.loads(text) == {
        "type": "notification",
        "message": {"a": "}"},
        "stream": kind,
        "seq": 8,
        "prev": 7,
        "recordedAt": NOW_MS,
    }


def test_the_largest_envelope_with_the_largest_numbers_fits_a_page() -> None:
    most = 2**53 - 1
    envelope = json.dumps({"message": "x" * (MAX_RECORDED_BYTES - 15)}, separators=(",", ":"))
    assert len(envelope) == MAX_RECORDED_BYTES - 1

    text = placed(envelope, Place(own_stream("ada"), most, most, most))

    assert len(text) - len(envelope) <= POSITION_BYTES
    assert len(text) <= PAGE_BYTES


@pytest.mark.parametrize(
    ("asked", "last", "newest", "wanted"),
    [
        pytest.param(None, 0, None, Span(0, 0), id="empty stream"),
        pytest.param(None, 50, None, Span(0, 0), id="last of an empty stream"),
        pytest.param(7, 0, None, Span(0, 0), id="position in an empty stream"),
        pytest.param(None, 0, 90, Span(90, 90), id="only the position"),
        pytest.param(None, 3, 90, Span(87, 90), id="the last three"),
        pytest.param(None, 50, 20, Span(0, 20), id="more than there can be"),
        pytest.param(90, 0, 90, Span(90, 90), id="nothing new"),
        pytest.param(80, 0, 90, Span(80, 90), id="some new"),
        pytest.param(0, 0, 90, Span(0, 90), id="from the beginning"),
        pytest.param(91, 0, 90, Span(90, 90), id="another table's position"),
    ],
)
def test_a_client_is_given_what_is_between_it_and_the_head(
    asked: int | None, last: int, newest: int | None, wanted: Span
) -> None:
    head = None if newest is None else Head(ALL, newest, NOW_MS, ())

    assert span(asked, last, head) == wanted


@pytest.mark.parametrize(
    ("after", "entries", "head", "missing"),
    [
        pytest.param(4, [entry(5, 4), entry(6, 5)], 6, [], id="unbroken"),
        pytest.param(3, [entry(5, 4)], 5, [4], id="before the first"),
        pytest.param(4, [entry(5, 4), entry(7, 6)], 7, [6], id="in between"),
        pytest.param(4, [entry(5, 4)], 6, [6], id="at the end"),
        pytest.param(4, [], 6, [6], id="everything"),
        pytest.param(4, [entry(5, 4)], None, [], id="not read to the end"),
        pytest.param(3, [entry(5, 4), entry(8, 7)], 8, [4, 7], id="two holes"),
        pytest.param(3, [entry(9, 0)], 9, [], id="a table made anew"),
    ],
)
def test_each_hole_is_looked_at(
    after: int, entries: list[Entry], head: int | None, missing: list[int]
) -> None:
    """By its last entry. It has expired, or does not show yet."""
    newest = None if head is None else Head(ALL, head, NOW_MS, ())

    assert holes(after, entries, newest) == missing


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(0, 2_000))
def test_a_page_holds_the_first_entries_that_fit(messages: list[str], room: int) -> None:
    """Counted in bytes of UTF-8, with a comma between two."""
    entries = [entry(number + 1, number, message=text) for number, text in enumerate(messages)]

    texts, left = fitting(entries, room, is_empty=False)

    assert texts == [each.text() for each in entries[: len(texts)]]
    assert left == room - len("".join(f",{text}" for text in texts).encode())
    assert left >= 0
    if len(texts) < len(entries):
        assert len(f",{entries[len(texts)].text()}".encode()) > left


def test_the_first_entry_of_a_page_always_fits() -> None:
    """A client would ask for it for ever."""
    texts, _ = fitting([entry(1, 0), entry(2, 1)], 10, is_empty=True)

    assert texts == [entry(1, 0).text()]
