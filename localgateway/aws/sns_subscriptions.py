"""Subscribes functions to topics: `python -m localgateway.aws.sns_subscriptions TOPIC FUNCTION`.

One line of JSON goes to standard output: the ARNs of the topics. It is a process of its own,
because it imports boto3, which the gateway itself should not hold.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


def main() -> None:
    """Subscribe each function to the topic before it, and name the topics."""
    try:
        arns = [subscribe(*pair) for pair in zip(sys.argv[1::2], sys.argv[2::2], strict=True)]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Error: {error}")
    click.echo(json.dumps(arns))


def subscribe(topic: str, function: str) -> str:
    """Make a topic, given by name or ARN, and subscribe a function; give the topic's ARN.

    An ARN's region is kept. The account is the embedded one in any case.
    """
    *_, region, _, name = topic.split(":") if ":" in topic else (None, None, topic)
    client: SNSClient = boto3.client("sns", region_name=region)
    arn = client.create_topic(Name=name)["TopicArn"]
    _, partition, _, region, account, _ = arn.split(":")
    endpoint = f"arn:{partition}:lambda:{region}:{account}:function:{function}"
    client.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=endpoint)
    return arn


if __name__ == "__main__":
    main()
