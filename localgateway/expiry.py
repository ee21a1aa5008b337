"""Deletes the expired rows of the embedded tables, which moto itself keeps for ever.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_log = logging.getLogger(__name__)
# DynamoDB takes a time more than five years past for a mistake and leaves the row alone.
_TOO_OLD = 5 * 365 * 24 * 3600
_PAGE = 200


def expire_forever(port: int, interval: float) -> None:
    """Expire rows every `interval` seconds."""
    client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}")
    while True:
        threading.Event().wait(interval)
        try:
            expire(client, time.time())
        except (BotoCoreError, ClientError) as error:
            _log.warning("expired rows are left until next time: %s", error)


def expire(client: DynamoDBClient, now: float) -> None:
    """Delete every row whose time to live, in epoch s, is past at `now`."""
    for page in client.get_paginator("list_tables").paginate():
        for table in page["TableNames"]:
            description = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if description["TimeToLiveStatus"] == "ENABLED":
                _expire_table(client, table, description["AttributeName"], int(now))


def _expire_table(client: DynamoDBClient, table: str, attribute: str, now: int) -> None:
    keys = [
        key["AttributeName"] for key in client.describe_table(TableName=table)["Table"]["KeySchema"]
    ]
    rule: Any = {
        "ExpressionAttributeNames": {"#ttl": attribute},
        "ExpressionAttributeValues": {":now": {"N": str(now)}, ":old": {"N": str(now - _TOO_OLD)}},
    }
    expired = "#ttl < :now AND #ttl > :old"
    pages = client.get_paginator("scan").paginate(
        TableName=table, FilterExpression=expired, PaginationConfig={"PageSize": _PAGE}, **rule
    )
    for page in pages:
        for row in page["Items"]:
            _delete(client, table, {key: row[key] for key in keys}, expired, rule)


def _delete(client: DynamoDBClient, table: str, key: Any, expired: str, rule: Any) -> None:
    try:
        client.delete_item(TableName=table, Key=key, ConditionExpression=expired, **rule)
    except client.exceptions.ConditionalCheckFailedException:
        _log.info("a row of %s was given more time", table)
