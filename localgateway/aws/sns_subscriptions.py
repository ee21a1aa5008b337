"""Subscribes functions to topics: `python -m localgateway.aws.sns_subscriptions TOPIC FUNCTION`.

It prints the ARNs of the topics as one line of JSON. It runs in a process of its own because it
imports boto3, which would stay in the gateway's memory.
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
    """Subscribe each function to the topic before it, and print the topics' ARNs."""
    try:
        arns = [subscribe(*pair) for pair in zip(sys.argv[1::2], sys.argv[2::2], strict=True)]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Error: {error}")
    click.echo(json.dumps(arns))


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


if __name__ == "__main__":
    main()
