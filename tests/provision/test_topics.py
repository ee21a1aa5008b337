"""Topics, in an in-process SNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from provision.topics import account_of, ensure, set_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sns import SNSClient


@pytest.fixture
def client() -> Iterator[SNSClient]:
    """Give a client of an SNS without topics."""
    with mock_aws():
        yield boto3.client("sns")


def arns(client: SNSClient) -> list[str]:
    """List the topics."""
    return [topic["TopicArn"] for topic in client.list_topics()["Topics"]]


def test_a_topic_is_made_once_and_keeps_its_policy(client: SNSClient) -> None:
    """The second run finds the topic that the first one made, with what was set meanwhile."""
    # GIVEN
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}

    # WHEN
    first = ensure(client, "Rows")
    set_policy(client, first, policy)
    second = ensure(client, "Rows")

    # THEN
    assert arns(client) == [first] == [second]
    attributes = client.get_topic_attributes(TopicArn=first)["Attributes"]
    assert json.loads(attributes["Policy"]) == policy


def test_the_account_is_that_of_the_topic(client: SNSClient) -> None:
    """An ARN tells whose topic it is."""
    topic = ensure(client, "Rows")
    owner = client.get_topic_attributes(TopicArn=topic)["Attributes"]["Owner"]
    assert account_of(topic) == owner


@pytest.mark.parametrize("operation", ["CreateTopic", "SetTopicAttributes"])
def test_a_failure_is_not_hidden(client: SNSClient, operation: str) -> None:
    """A denied call stops the run."""

    # GIVEN
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AuthorizationError"}}, operation)

    client.meta.events.register(f"before-call.sns.{operation}", refuse)

    # THEN
    with pytest.raises(ClientError, match="AuthorizationError"):
        set_policy(client, ensure(client, "Rows"), {})
