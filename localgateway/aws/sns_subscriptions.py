"""Subscribes functions to topics of the embedded SNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


def subscribe(topic: str, function: str) -> str:
    """Create a topic by name or ARN, subscribe a function and return the topic's ARN.

    The region of an ARN counts; its account is replaced by the embedded one.
    """
    *_, region, _, name = topic.split(":") if ":" in topic else (None, None, topic)
    client: SNSClient = boto3.client("sns", region_name=region)
    arn = client.create_topic(Name=name)["TopicArn"]
    _, partition, _, region, account, _ = arn.split(":")
    endpoint = f"arn:{partition}:lambda:{region}:{account}:function:{function}"
    client.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=endpoint)
    return arn
