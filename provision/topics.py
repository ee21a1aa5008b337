"""Makes an SNS topic, and says who may publish to it."""

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
    """Create the topic if it is missing, and give its ARN; called again it changes nothing."""
    arn = client.create_topic(Name=name)["TopicArn"]  # SNS gives the ARN of one that is there
    _log.info("topic %s is there", name)
    return arn


def set_policy(client: SNSClient, arn: str, policy: Mapping[str, Any]) -> None:
    """Make `policy` the topic's own, in the place of the one that it has."""
    client.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
    )
    _log.info("set who may publish to topic %s", arn)


def account_of(arn: str) -> str:
    """Name the account that a topic belongs to."""
    return arn.split(":")[4]
