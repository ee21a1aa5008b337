"""Create an SNS topic and set its access policy."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypy_boto3_sns import SNSClient

_log = logging.getLogger(__name__)


def ensure(client: SNSClient, name: str) -> str:
    """Create the topic unless it exists, and return its ARN.

    CreateTopic returns the ARN of an existing topic too and does not say which case it was.
    """
    arn = client.create_topic(Name=name)["TopicArn"]
    _log.info("topic %s exists", name)
    return arn


def set_policy(client: SNSClient, arn: str, policy: Mapping[str, Any]) -> None:
    """Replace the topic's access policy, which says who may publish to it."""
    client.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
    )
    _log.info("updated the policy of topic %s", arn)


def account_of(arn: str) -> str:
    """Return the account id in a topic's ARN."""
    return arn.split(":")[4]
