"""Which rows expire."""

from typing import Any

import pytest
from moto import mock_aws

from localgateway.aws.time_to_live import expire, expired
from tests.localgateway.support import SESSION

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
