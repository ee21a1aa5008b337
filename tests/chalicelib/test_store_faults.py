"""The store when DynamoDB's answers are lost: a real table, and a client that loses them."""

from dataclasses import replace
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.connection import Connection, Intent
from chalicelib.domain.errors import StoreError
from chalicelib.domain.rows import to_item
from chalicelib.store import ConnectionStore, Removed
from tests.conftest import TABLE
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.losing import Losing

ONE = tracked("one=", connected_at=1731324924561)


def losing(client: DynamoDBClient, unsent: dict[str, int] | None = None, **lost: int) -> Any:
    return ConnectionStore(Losing(client, lost, unsent), TABLE, NO_DEADLINE)  # type: ignore[arg-type] # a fake


def stored(client: DynamoDBClient) -> Connection | None:
    return ConnectionStore(client, TABLE, NO_DEADLINE).get("one=")


def put(client: DynamoDBClient, connection: Connection) -> None:
    client.put_item(TableName=TABLE, Item=to_item(connection))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_delete_without_an_answer_counts_as_done_if_the_row_is_gone(
    dynamodb: DynamoDBClient, lost: int
) -> None:
    put(dynamodb, ONE)

    assert losing(dynamodb, delete_item=lost).delete("one=") == Removed(None)
    assert stored(dynamodb) is None


def test_a_delete_that_was_not_carried_out_is_an_error(dynamodb: DynamoDBClient) -> None:
    put(dynamodb, ONE)

    with pytest.raises(StoreError) as caught:
        losing(dynamodb, unsent={"delete_item": 3}).delete("one=")

    assert caught.value.uncertain
    assert stored(dynamodb) == ONE


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_removal_without_an_answer_returns_the_row_that_was_judged(
    dynamodb: DynamoDBClient, lost: int
) -> None:
    put(dynamodb, ONE)

    assert losing(dynamodb, delete_item=lost).remove(ONE) == ONE
    assert stored(dynamodb) is None


def test_a_removal_that_was_not_carried_out_is_an_error(dynamodb: DynamoDBClient) -> None:
    put(dynamodb, ONE)

    with pytest.raises(StoreError):
        losing(dynamodb, unsent={"delete_item": 3}).remove(ONE)

    assert stored(dynamodb) == ONE


def test_a_replaced_row_is_not_removed_although_an_answer_was_lost(
    dynamodb: DynamoDBClient,
) -> None:
    newer = replace(ONE, created_at=ONE.created_at + 1)
    put(dynamodb, newer)

    assert losing(dynamodb, unsent={"delete_item": 1}).remove(ONE) is None
    assert stored(dynamodb) == newer


def test_the_read_that_settles_a_delete_may_fail_too(dynamodb: DynamoDBClient) -> None:
    put(dynamodb, ONE)

    with pytest.raises(StoreError, match="DeleteItem"):
        losing(dynamodb, delete_item=3, get_item=3).delete("one=")


@pytest.mark.parametrize("lost", [1, 2])
def test_a_put_whose_answer_was_lost_finds_its_own_row(dynamodb: DynamoDBClient, lost: int) -> None:
    losing(dynamodb, put_item=lost).put(ONE)

    assert stored(dynamodb) == ONE


def test_a_put_without_any_answer_is_uncertain(dynamodb: DynamoDBClient) -> None:
    with pytest.raises(StoreError) as caught:
        losing(dynamodb, put_item=3).put(ONE)

    assert caught.value.uncertain


def test_the_clean_up_of_one_delivery_spares_the_row_that_the_other_took_over(
    dynamodb: DynamoDBClient,
) -> None:
    """The same `$connect` delivered twice at once: the first is refused, the second accepted."""
    store = losing(dynamodb)
    second = replace(ONE, created_at=ONE.created_at + 5, ttl=ONE.ttl + 5)
    store.put(ONE)

    store.put(second)

    assert store.remove(ONE) is None
    assert stored(dynamodb) == second


def test_a_take_over_whose_answer_was_lost_has_happened(dynamodb: DynamoDBClient) -> None:
    second = replace(ONE, created_at=ONE.created_at + 5, ttl=ONE.ttl + 5)
    put(dynamodb, ONE)

    losing(dynamodb, update_item=1).put(second)

    assert stored(dynamodb) == second


@pytest.mark.parametrize("unsent", [0, 3])
def test_a_take_over_without_any_answer_leaves_the_row_to_the_other_delivery(
    dynamodb: DynamoDBClient, unsent: int
) -> None:
    """That one may have opened the connection, so that nobody is to clean up."""
    second = replace(ONE, created_at=ONE.created_at + 5, ttl=ONE.ttl + 5)
    put(dynamodb, ONE)
    store = ConnectionStore(
        Losing(dynamodb, {"update_item": 3 - unsent}, {"update_item": unsent}),  # type: ignore[arg-type] # a fake
        TABLE,
        NO_DEADLINE,
    )

    with pytest.raises(StoreError) as caught:
        store.put(second)

    assert not caught.value.uncertain


def test_a_put_replaces_a_row_that_is_not_a_connection(dynamodb: DynamoDBClient) -> None:
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": "one="}})

    losing(dynamodb).put(ONE)

    assert stored(dynamodb) == ONE


def test_an_intent_is_withdrawn_only_if_it_is_still_the_rows(dynamodb: DynamoDBClient) -> None:
    store = losing(dynamodb)
    first, second = Intent("kicked", 1000, "maintenance"), Intent("replaced", 2000)
    put(dynamodb, ONE)

    assert store.mark_closing(ONE, first)
    marked = stored(dynamodb)
    assert marked is not None
    assert marked.intent(1500) == first
    assert not store.withdraw_closing(ONE, second)
    assert store.withdraw_closing(ONE, first)
    assert stored(dynamodb) == ONE


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_renewal_whose_answer_was_lost_has_happened(dynamodb: DynamoDBClient, lost: int) -> None:
    put(dynamodb, ONE)

    assert losing(dynamodb, update_item=lost).renew(ONE, 1_900_000_000)
    assert stored(dynamodb) == replace(ONE, expires_at=1_900_000_000)


def test_a_renewal_without_any_answer_is_uncertain(dynamodb: DynamoDBClient) -> None:
    put(dynamodb, ONE)

    with pytest.raises(StoreError) as caught:
        losing(dynamodb, update_item=3).renew(ONE, 1_900_000_000)

    assert caught.value.uncertain


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize(
    "now",
    [
        None,
        replace(ONE, created_at=ONE.created_at + 1),
        replace(ONE, closing="expired", closing_at=1),
    ],
)
def test_a_row_that_is_another_or_gone_or_being_closed_as_expired_is_not_renewed(
    dynamodb: DynamoDBClient, now: Connection | None, lost: int
) -> None:
    """Although an attempt that was not carried out came before the answer."""
    if now:
        put(dynamodb, now)

    assert not losing(dynamodb, unsent={"update_item": lost}).renew(ONE, 1_900_000_000)
    assert stored(dynamodb) == now


@pytest.mark.parametrize("unsent", [0, 1])
@pytest.mark.parametrize(("now", "is_marked"), [(1000, True), (2000, False), (None, False)])
def test_an_expired_row_is_marked_unless_its_token_was_renewed(
    dynamodb: DynamoDBClient, now: int | None, unsent: int, *, is_marked: bool
) -> None:
    """Although an attempt that was not carried out came before the answer."""
    put(dynamodb, replace(ONE, expires_at=now))
    store = losing(dynamodb, unsent={"update_item": unsent})

    found = store.mark_closing(replace(ONE, expires_at=1000), Intent("expired", 7))

    row = stored(dynamodb)
    assert row is not None
    assert found is is_marked
    assert row.closing == ("expired" if is_marked else None)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_mark_whose_answer_was_lost_stands(dynamodb: DynamoDBClient, lost: int) -> None:
    expired = replace(ONE, expires_at=1000)
    put(dynamodb, expired)

    assert losing(dynamodb, update_item=lost).mark_closing(expired, Intent("expired", 7))
    assert not losing(dynamodb).renew(expired, 2000)


@pytest.mark.parametrize("changed", [False, True])
def test_a_malformed_row_is_removed_unless_it_changed(
    dynamodb: DynamoDBClient, changed: bool
) -> None:
    item: dict[str, Any] = {"connectionId": {"S": "one="}, "ttl": {"S": "1731324924"}}
    dynamodb.put_item(TableName=TABLE, Item=item)
    if changed:
        put(dynamodb, ONE)

    assert losing(dynamodb).remove_malformed(item) is not changed
    assert (stored(dynamodb) is not None) is changed
