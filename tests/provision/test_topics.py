from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from provision.topics import account_of, ensure, set_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sns import SNSClient

pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
def client() -> SNSClient:
    """Return a client of an SNS without topics."""
    return boto3.client("sns")


def test_a_topic_is_created_once_and_keeps_its_policy(client: SNSClient) -> None:
    """CreateTopic leaves an existing topic as it is."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}

    first = ensure(client, "Rows")
    set_policy(client, first, policy)
    second = ensure(client, "Rows")

    assert [topic["TopicArn"] for topic in client.list_topics()["Topics"]] == [first] == [second]
    attributes = client.get_topic_attributes(TopicArn=first)["Attributes"]
    assert json.loads(attributes["Policy"]) == policy
    assert account_of(first) == attributes["Owner"]


@pytest.mark.parametrize("operation", ["CreateTopic", "SetTopicAttributes"])
def test_an_error_stops_the_run(
    client: SNSClient, operation: str, fail: Callable[..., None]
) -> None:
    """A denied call is not mistaken for an existing topic."""
    fail(client, operation, "AuthorizationError")

    with pytest.raises(ClientError, match="AuthorizationError"):
        set_policy(client, ensure(client, "Rows"), {})
