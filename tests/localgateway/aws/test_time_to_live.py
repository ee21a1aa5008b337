"""Time to live: which rows are deleted."""

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
    """Other types, missing values, future times and times over five years ago do not count."""
    assert expired(moment, NOW) is goes


def test_a_row_with_a_new_time_to_live_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that changes between the scan and the deletion stays."""
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
        expire(client, NOW, lambda *_: None)

        assert client.scan(TableName="t")["Count"] == 1


@pytest.mark.proof
def test_expired_rows_are_deleted(hasty: Gateway) -> None:
    """A row is deleted after its time, if the time is plausible."""
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
