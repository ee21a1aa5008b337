"""Claims in the history table: who has picked a notification up."""

from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.claims import Claims
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import own_stream
from chalicelib.domain.unclaimed import Claim
from chalicelib.history import History
from tests.conftest import HISTORY, Wire
from tests.support.connections import NO_DEADLINE, now_ms
from tests.support.losing import Losing

KEEP_S = 7200


@pytest.fixture
def claims(dynamodb: DynamoDBClient) -> Claims:
    """Return the claims of an empty history."""
    return Claims(History(dynamodb, HISTORY, NO_DEADLINE), KEEP_S)


def test_a_claim_is_of_one_entry_of_one_client(claims: Claims) -> None:
    claims.hand_out("ada", 5, now_ms())
    claims.receive("bob", 5, now_ms())

    found = claims.find({"ada": 5, "bob": 5, "cyd": 5})

    assert found == {"ada": Claim(is_received=False), "bob": Claim(is_received=True)}
    assert claims.find({"ada": 4, "bob": 6}) == {}


@pytest.mark.parametrize(
    ("steps", "is_received"),
    [
        (("hand_out", "receive"), True),
        (("receive", "hand_out"), True),
        (("hand_out", "hand_out"), False),
        (("receive", "receive"), True),
    ],
)
def test_an_acknowledgement_outlives_what_comes_before_and_after(
    claims: Claims, steps: tuple[str, ...], *, is_received: bool
) -> None:
    for step in steps:
        getattr(claims, step)("ada", 5, now_ms())

    assert claims.find({"ada": 5}) == {"ada": Claim(is_received)}


def test_a_claim_goes_with_its_entry(claims: Claims) -> None:
    """At the same second, and it is no entry itself."""
    history = claims.history
    place, _ = history.append(own_stream("ada"), "id", "{}", KEEP_S)

    claims.receive("ada", place.seq, place.at)

    items = history.client.scan(TableName=HISTORY)["Items"]
    by_number = {int(item["seq"]["N"]): item for item in items}
    assert by_number.keys() == {-place.seq, 0, place.seq}
    assert by_number[-place.seq]["ttl"] == by_number[place.seq]["ttl"]
    assert len(history.read(own_stream("ada"), 0, place.seq, 10, now_ms()).entries) == 1


def test_a_hundred_claims_are_found_with_one_call(claims: Claims, wire: Wire) -> None:
    """As many clients as a message of the queue has."""
    wire.watch(claims.history.client)
    names = [f"client-{number}" for number in range(100)]
    for name in names[::2]:
        claims.hand_out(name, 7, now_ms())
    wire.calls.clear()

    found = claims.find(dict.fromkeys(names, 7))

    assert found.keys() == set(names[::2])
    assert wire.calls == ["BatchGetItem"]


def test_keys_that_dynamodb_leaves_are_asked_for_again(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It throttles a part of a batch."""
    claims.hand_out("ada", 5, now_ms())
    claims.hand_out("bob", 5, now_ms())
    client = claims.history.client
    batch_get_item = client.batch_get_item
    asked: list[Any] = []

    def one(**given: Any) -> Any:
        [key, *left] = given["RequestItems"][HISTORY]["Keys"]
        asked.append(key)
        body = batch_get_item(RequestItems={HISTORY: {"Keys": [key]}})
        return {**body, "UnprocessedKeys": {HISTORY: {"Keys": left}} if left else {}}

    monkeypatch.setattr(client, "batch_get_item", one)

    assert claims.find({"ada": 5, "bob": 5}).keys() == {"ada", "bob"}
    assert len(asked) == 2


@pytest.mark.parametrize("step", ["hand_out", "receive"])
def test_a_lost_answer_is_settled_by_the_repeat(claims: Claims, step: str) -> None:
    """A repeated claim that finds its own is no failure."""
    client = Losing(claims.history.client, {"put_item": 1})
    lossy = Claims(History(client, HISTORY, NO_DEADLINE), KEEP_S)  # type: ignore[arg-type] # a fake

    getattr(lossy, step)("ada", 5, now_ms())

    assert claims.find({"ada": 5}) == {"ada": Claim(step == "receive")}


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("PutItem", lambda claims: claims.hand_out("ada", 5, 1)),
        ("PutItem", lambda claims: claims.receive("ada", 5, 1)),
        ("BatchGetItem", lambda claims: claims.find({"ada": 5})),
    ],
)
def test_a_refusal_is_an_error(claims: Claims, wire: Wire, operation: str, call: object) -> None:
    wire.watch(claims.history.client)
    wire.errors[operation] = (400, "AccessDeniedException")

    with pytest.raises(HistoryError) as caught:
        call(claims)  # type: ignore[operator] # one of the functions above

    assert (caught.value.operation, caught.value.code) == (operation, "AccessDeniedException")
