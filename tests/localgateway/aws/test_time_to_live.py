"""Which rows expire."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from moto import mock_aws

from localgateway.aws.time_to_live import expire, expired
from tests.localgateway.support import PATIENCE, SESSION, Gateway

NOW = 1_731_324_924.5


@pytest.mark.parametrize(
    ("moment", "goes"),
    [
        ({"N": "1731324924"}, True),
        ({"N": "1731324925"}, False),
        ({"N": "1.7e9"}, True),
        ({"N": "1573000000"}, False),
        ({"S": "1731324000"}, False),
        (None, False),
    ],
)
def test_a_row_expires_when_its_number_is_past(moment: Any, goes: bool) -> None:
    """Another type, no value, the future and more than five years ago are no reason to delete."""
    assert expired(moment, NOW) is goes


def test_a_row_that_was_given_more_time_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that changes between being seen and being deleted is not deleted."""
    with mock_aws():
        client = SESSION.client("dynamodb")
        client.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.update_time_to_live(
            TableName="t", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True}
        )
        client.put_item(TableName="t", Item={"id": {"S": "a"}, "ttl": {"N": "1731324000"}})

        delete_item = client.delete_item

        def prolong(**arguments: Any) -> Any:
            client.put_item(TableName="t", Item={"id": {"S": "a"}, "ttl": {"N": "1731329999"}})
            return delete_item(**arguments)

        monkeypatch.setattr(client, "delete_item", prolong)
        expire(client, NOW)

        assert client.scan(TableName="t")["Count"] == 1


def test_expired_rows_are_deleted(hasty: Gateway) -> None:
    """A row goes once its time is past, unless that is no plausible time at all."""
    dynamodb = hasty.dynamodb()
    now = int(time.time())
    times = {
        "expired": {"N": str(now - 60)},
        "alive": {"N": str(now + 3600)},
        "too old": {"N": "1"},
        "text": {"S": str(now - 60)},
    }
    for name, moment in times.items():
        dynamodb.put_item(TableName="Things-dev", Item={"id": {"S": name}, "expires": moment})
    dynamodb.put_item(TableName="Things-dev", Item={"id": {"S": "without"}})

    _wait(
        lambda: (
            "Item" not in dynamodb.get_item(TableName="Things-dev", Key={"id": {"S": "expired"}})
        )
    )

    left = {row["id"]["S"] for row in dynamodb.scan(TableName="Things-dev")["Items"]}
    assert left == {"alive", "too old", "text", "without"}


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
