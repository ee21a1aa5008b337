"""What clients are given that have missed notifications."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.errors import UnsettledError
from chalicelib.domain.history import ALL, PAGE_BYTES, Entry, Head, Place, own_stream
from chalicelib.domain.notification import MAX_ENVELOPE_BYTES, MAX_RECORDED_BYTES
from chalicelib.domain.requests import Position, Recover
from chalicelib.history import Batch, History, open_history
from chalicelib.services import recovery
from chalicelib.settings import History as Settings
from tests.conftest import HISTORY, Wire
from tests.support.connections import NO_DEADLINE, now_ms

HOUR = 3600
SETTINGS = Settings(HISTORY, HOUR, has_own=True, keep_alive_seconds=300, spread_seconds=5)
WITHOUT_OWN = Settings(HISTORY, HOUR, has_own=False, keep_alive_seconds=300, spread_seconds=5)


@pytest.fixture
def log(dynamodb: DynamoDBClient) -> History:
    """Return an empty history."""
    return History(dynamodb, HISTORY, NO_DEADLINE)


def record(log: History, *messages: str, stream: str = ALL) -> list[int]:
    """Record notifications and return their numbers."""
    numbers = []
    for index, message in enumerate(messages):
        envelope = json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":"))
        place, _ = log.append(stream, f"{index} {message[:9]}", envelope, HOUR)
        numbers.append(place.seq)
    return numbers


def recover(
    log: Any,
    after: Position | None = None,
    last: int = 0,
    client_id: str | None = None,
    now: int | None = None,
    config: Settings = SETTINGS,
) -> dict[str, Any]:
    """Return the answer to a request, which has to fit API Gateway's limit."""
    request = Recover(7, after, last)
    found = recovery.recovered(request, client_id, log, config, now or now_ms())
    assert len(found.text.encode()) <= MAX_ENVELOPE_BYTES
    answer: dict[str, Any] = json.loads(found.text)
    assert len(answer["notifications"]) == found.count
    own = [each["seq"] for each in answer["notifications"] if each["stream"] == "own"]
    assert [place.seq for place in found.own] == own
    return answer


def given_messages(answer: dict[str, Any]) -> list[str]:
    """Return the messages in an answer."""
    return [each["message"] for each in answer["notifications"]]


def test_the_answer_has_the_documented_fields(log: History) -> None:
    [number] = record(log, "a")
    [own] = record(log, "mine", stream=own_stream("ada"))
    before = now_ms()

    answer = recover(log, Position(0, 0, "ada"), client_id="ada")

    at = answer.pop("at")
    assert before <= at <= now_ms()
    recorded = [each.pop("recordedAt") for each in answer["notifications"]]
    assert recorded == [own, number]
    assert answer == {
        "type": "recovered",
        "n": 7,
        "notifications": [
            {"message": "mine", "stream": "own", "seq": own, "prev": 0},
            {"message": "a", "stream": "all", "seq": number, "prev": 0},
        ],
        "position": {"all": number, "own": {"seq": own, "of": "ada"}},
        "more": False,
        "clientId": "ada",
        "advice": {"keepAliveSeconds": 300, "spreadSeconds": 5},
    }


@pytest.mark.parametrize(
    ("after", "last", "messages"),
    [
        pytest.param(None, 0, [], id="new client"),
        pytest.param(None, 2, ["d", "e"], id="last two"),
        pytest.param(None, 50, ["a", "b", "c", "d", "e"], id="last of few"),
        pytest.param(0, 0, ["a", "b", "c", "d", "e"], id="from the beginning"),
        pytest.param(2, 0, ["d", "e"], id="some missed"),
        pytest.param(4, 0, [], id="nothing missed"),
        pytest.param(-99, 0, [], id="another table's position"),
    ],
)
def test_a_client_gets_what_it_has_missed(
    log: History, after: int | None, last: int, messages: list[str]
) -> None:
    """`after` is the index of the last one seen, or 0 for none, or -99 for a higher number."""
    numbers = record(log, "a", "b", "c", "d", "e")
    position = None
    if after is not None:
        number = {0: 0, -99: numbers[-1] + 5}.get(after) if after in (0, -99) else numbers[after]
        position = Position(number)

    answer = recover(log, position, last)

    assert given_messages(answer) == messages
    assert answer["position"] == {"all": numbers[-1]}
    assert answer["more"] is False


def test_an_empty_history_has_position_zero(log: History) -> None:
    """A client has one from then on, also if no notification ever came."""
    answer = recover(log, client_id="ada")

    assert answer["position"] == {"all": 0, "own": {"seq": 0, "of": "ada"}}
    assert given_messages(answer) == []


@pytest.mark.parametrize(
    ("client_id", "of", "config", "messages", "position"),
    [
        ("ada", "ada", SETTINGS, ["mine"], "ada"),
        ("ada", "bob", SETTINGS, [], "ada"),
        ("bob", "ada", SETTINGS, [], "bob"),
        (None, "ada", SETTINGS, [], None),
        ("ada", "ada", WITHOUT_OWN, [], None),
    ],
)
def test_a_client_gets_its_own_notifications_only(
    log: History,
    client_id: str | None,
    of: str,
    config: Settings,
    messages: list[str],
    position: str | None,
) -> None:
    """An anonymous client gets none, and no client does without authentication."""
    record(log, "mine", stream=own_stream("ada"))

    answer = recover(log, Position(0, 0, of), client_id=client_id, config=config)

    assert given_messages(answer) == messages
    assert answer["position"].get("own", {}).get("of") == position
    assert answer["clientId"] == client_id


@pytest.mark.parametrize(
    ("client_id", "calls"), [("ada", ["GetItem", "GetItem"]), (None, ["GetItem"])]
)
def test_nothing_new_costs_one_read_unit_a_stream(
    log: History, wire: Wire, client_id: str | None, calls: list[str]
) -> None:
    """The handler reads the row for one more."""
    [own] = record(log, "mine", stream=own_stream("ada"))
    [number] = record(log, "a")

    recover(open_history(HISTORY, NO_DEADLINE), Position(number, own, "ada"), client_id=client_id)

    assert wire.calls == calls


def pages(log: History, after: Position, client_id: str | None = None) -> list[dict[str, Any]]:
    """Follow the pages as a client does."""
    answers = []
    while True:
        answers.append(recover(log, after, client_id=client_id))
        place = answers[-1]["position"]
        own = place.get("own", {})
        after = Position(place["all"], own.get("seq"), own.get("of"))
        if not answers[-1]["more"]:
            return answers


def test_ten_pages_give_everything_once_own_first(log: History) -> None:
    """Each but the last one is nearly full."""
    messages = [f"{number:03}{'x' * 20_000}" for number in range(54)]
    record(log, *messages[:20], stream=own_stream("ada"))
    record(log, *messages[20:])

    answers = pages(log, Position(0, 0, "ada"), "ada")

    found = [message for answer in answers for message in given_messages(answer)]
    assert found == messages
    assert len(answers) == 9
    for answer in answers[:-1]:
        assert len(json.dumps(answer, separators=(",", ":"))) > PAGE_BYTES - 21_000


@pytest.mark.parametrize("character", ["x", "한", "😀", '"'])
def test_the_largest_envelopes_take_a_page_each(log: History, character: str) -> None:
    """Measured in bytes of UTF-8."""
    frame = len(b'{"message":""}')
    size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    most = (MAX_RECORDED_BYTES - frame) // size
    messages = [character * most, character * (most - 1), character * most]
    record(log, *messages)

    answers = pages(log, Position(0))

    assert [given_messages(answer) for answer in answers] == [[each] for each in messages]


@pytest.mark.parametrize("last", [0, 2])
def test_a_full_page_of_own_notifications_leaves_the_others_for_the_next(
    log: History, last: int
) -> None:
    """Also for a client without a position, which can ask for the last ones only once."""
    large = ["own" + "x" * 90_000, "own" + "y" * 90_000]
    record(log, *large, stream=own_stream("ada"))
    record(log, "a", "b", "c")
    after = None if last else Position(0, 0, "ada")

    first = recover(log, after, last, client_id="ada")
    place = first["position"]
    rest = pages(log, Position(place["all"], place["own"]["seq"], "ada"), "ada")

    found = given_messages(first) + [m for answer in rest for m in given_messages(answer)]
    assert found == large + (["b", "c"] if last else ["a", "b", "c"])
    assert first["more"] is True


# What has expired


def expire(log: History, *numbers: int, is_deleted: bool = False) -> None:
    """Let entries expire; DynamoDB deletes them at once or later."""
    for number in numbers:
        key: Any = {"stream": {"S": ALL}, "seq": {"N": str(number)}}
        if is_deleted:
            log.client.delete_item(TableName=HISTORY, Key=key)
        else:
            log.client.update_item(
                TableName=HISTORY,
                Key=key,
                UpdateExpression="SET #ttl = :past",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":past": {"N": "1"}},
            )


@pytest.mark.parametrize("is_deleted", [True, False])
@pytest.mark.parametrize("expired", [(0,), (1, 2), (3, 4), (0, 1, 2, 3, 4), (0, 2, 4)])
def test_a_client_sees_by_the_numbers_that_something_has_expired(
    log: History, expired: tuple[int, ...], *, is_deleted: bool
) -> None:
    """What is there is given, at once and in order, and the position is the head's."""
    numbers = record(log, "a", "b", "c", "d", "e")
    expire(log, *(numbers[index] for index in expired), is_deleted=is_deleted)

    answer = recover(log, Position(0))

    left = [message for index, message in enumerate("abcde") if index not in expired]
    assert given_messages(answer) == left
    assert answer["position"] == {"all": numbers[-1]}
    assert answer["more"] is False


def test_megabytes_of_expired_entries_do_not_hide_the_first_live_one(log: History) -> None:
    """A query reads 1 MB at most, expired entries included."""
    numbers = record(log, *(f"{n:02}{'x' * 120_000}" for n in range(17)), "live")
    expire(log, *numbers[:-1])

    answer = recover(log, Position(0))

    assert given_messages(answer) == ["live"]


# What does not show yet


class Hiding(History):
    """A history whose queries do not show some entries for a while, though they are there."""

    def hide(self, numbers: list[int], times: int) -> None:
        """Hide these numbers from the next queries."""
        object.__setattr__(self, "hidden", numbers)
        object.__setattr__(self, "times", times)

    def read(self, *arguments: Any) -> Batch:
        """Leave the hidden entries out."""
        batch = super().read(*arguments)
        hidden, times = vars(self)["hidden"], vars(self)["times"]
        if times <= 0:
            return batch
        object.__setattr__(self, "times", times - 1)
        shown = tuple(each for each in batch.entries if each.place.seq not in hidden)
        return Batch(shown, batch.reached)


@pytest.fixture
def hiding(dynamodb: DynamoDBClient) -> Hiding:
    """Return an empty history that can hide entries."""
    return Hiding(dynamodb, HISTORY, NO_DEADLINE)


@pytest.mark.parametrize("slow_s", [0, 120])
@pytest.mark.parametrize("hidden", [[0], [1], [2], [0, 1], [0, 1, 2]])
def test_an_entry_that_does_not_show_yet_is_read_again(
    hiding: Hiding, monkeypatch: pytest.MonkeyPatch, hidden: list[int], slow_s: int
) -> None:
    """A read of several items is no snapshot. The writer's clock does not matter."""
    monkeypatch.setattr("chalicelib.history.now_ms", lambda: now_ms() - 1000 * slow_s)
    numbers = record(hiding, "a", "b", "c")
    hiding.hide([numbers[index] for index in hidden], times=2)

    answer = recover(hiding, Position(0))

    assert given_messages(answer) == ["a", "b", "c"]
    assert answer["position"] == {"all": numbers[-1]}


def test_an_entry_that_never_shows_is_an_error(
    hiding: Hiding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client tries again later, and its position has not moved."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    numbers = record(hiding, "a", "b", "c")
    hiding.hide([numbers[1]], times=99)

    with pytest.raises(UnsettledError) as caught:
        recover(hiding, Position(0))

    assert caught.value.seq == numbers[1]
    assert pauses == list(recovery.PAUSES_S)


# Heads


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_remembered", {})


def test_heads_are_the_newest_numbers(log: History) -> None:
    [number] = record(log, "a")
    now = now_ms()

    assert recovery.heads("ada", log, SETTINGS, now) == {"all": number, "own": 0}
    [own] = record(log, "mine", stream=own_stream("ada"))
    assert recovery.heads("ada", log, SETTINGS, now) == {"all": number, "own": own}
    assert recovery.heads("ada", log, WITHOUT_OWN, now) == {"all": number}
    assert recovery.heads(None, log, SETTINGS, now) == {"all": number}


@pytest.mark.parametrize(("later_ms", "is_new"), [(1_999, False), (2_000, True), (-1, True)])
def test_the_head_of_everybody_is_remembered_for_two_seconds(
    log: History, later_ms: int, *, is_new: bool
) -> None:
    """By wall clock, which may be set back."""
    [first] = record(log, "a")
    now = now_ms()
    recovery.heads(None, log, SETTINGS, now)
    [second] = record(log, "b")

    found = recovery.heads(None, log, SETTINGS, now + later_ms)

    assert found == {"all": second if is_new else first}


def test_an_own_head_costs_half_a_read_unit(log: History, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[bool] = []
    get = log.client.get_item

    def watched(**arguments: Any) -> Any:
        reads.append(arguments["ConsistentRead"])
        return get(**arguments)

    monkeypatch.setattr(log.client, "get_item", watched)
    now = now_ms()

    for _ in range(3):
        recovery.heads("ada", log, SETTINGS, now)

    assert reads == [True, False, False, False]


# Every history, followed page by page


class Memory:
    """A history in memory, whose entries are those that have not expired."""

    def __init__(self, entries: list[Entry], newest: int, at: int) -> None:
        self.entries = entries
        self.newest = Head(ALL, newest, at, ()) if newest else None

    def head(self, *_: Any, **__: Any) -> Head | None:
        return self.newest

    def recorded_at(self, _stream: str, seq: int, _now: int) -> int | None:
        return next((each.place.at for each in self.entries if each.place.seq == seq), None)

    def read(self, _stream: str, after: int, to: int, limit: int, _now: int) -> Batch:
        found = [each for each in self.entries if after < each.place.seq <= to]
        reached = found[limit - 1].place.seq if len(found) > limit else to
        return Batch(tuple(found[:limit]), reached)


@settings(max_examples=200)
@given(
    start=st.integers(1, 9),
    lengths=st.lists(st.integers(0, 70_000), max_size=30),
    kept=st.data(),
    asked=st.integers(0, 50),
)
def test_what_is_not_given_is_told_by_the_numbers(
    start: int, lengths: list[int], kept: st.DataObject, asked: int
) -> None:
    """A client that follows the pages gets each entry once, in order, or sees where it is missing.

    Entries expire in any order. The client moves only to a number whose `prev` it has reached,
    or it tells a gap up to there.
    """
    now = 10**12
    last = start + len(lengths) - 1 if lengths else 0
    chain = [
        Entry(
            Place(ALL, start + n, start + n - 1 if n else 0, now), f"{n}", f'{{"m":"{"x" * size}"}}'
        )
        for n, size in enumerate(lengths)
    ]
    there = [each for each in chain if kept.draw(st.booleans())]
    memory = Memory(there, last, now)
    position, seen, told = asked, [], set[int]()
    for _ in range(len(lengths) + 2):
        answer = recover(memory, Position(position), now=now)
        for each in answer["notifications"]:
            if each["prev"] > position or (each["prev"] == 0 and position > 0):
                told.update(range(position + 1, each["prev"] + 1))
            assert each["seq"] > position
            position = each["seq"]
            seen.append(each["seq"])
        if not answer["more"]:
            told.update(range(position + 1, answer["position"]["all"] + 1))
            position = answer["position"]["all"]
            break
        assert answer["position"]["all"] == position

    assert position == last
    numbers = [each.place.seq for each in there if each.place.seq > min(asked, last)]
    assert seen == numbers
    missing = {each.place.seq for each in chain if each.place.seq > asked} - set(seen)
    assert missing <= told
