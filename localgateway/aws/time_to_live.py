"""DynamoDB's time to live: deletes expired rows, which moto keeps forever.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    # Called with the table and the key of a row.
    Deleted = Callable[[str, Mapping[str, AttributeValueTypeDef]], None]

_log = logging.getLogger(__name__)
# In seconds; DynamoDB ignores times more than five years in the past.
_TOO_OLD = 5 * 365 * 24 * 3600
_PAGE = 200


def expire_forever(port: int, interval: float, deleted: Deleted) -> None:
    """Delete expired rows every `interval` seconds, and call `deleted` for each."""
    client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}")
    while True:
        threading.Event().wait(interval)
        try:
            expire(client, time.time(), deleted)
        except (BotoCoreError, ClientError) as error:
            _log.warning("could not delete expired rows, will retry: %s", error)


def expire(client: DynamoDBClient, now: float, deleted: Deleted) -> None:
    """Delete every row whose time to live is before `now`, both in epoch seconds."""
    for page in client.get_paginator("list_tables").paginate():
        for table in page["TableNames"]:
            description = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if description["TimeToLiveStatus"] == "ENABLED":
                _expire_table(client, table, description["AttributeName"], now, deleted)


def expired(moment: AttributeValueTypeDef | None, now: float) -> bool:
    """Return whether DynamoDB would delete a row with this time to live attribute."""
    if moment is None or "N" not in moment:
        return False
    return now - _TOO_OLD < float(moment["N"]) < now


def _expire_table(
    client: DynamoDBClient, table: str, attribute: str, now: float, deleted: Deleted
) -> None:
    # Filter here, not in the scan: moto cannot compare a number with another type.
    description = client.describe_table(TableName=table)["Table"]
    keys = [key["AttributeName"] for key in description["KeySchema"]]
    pages = client.get_paginator("scan").paginate(
        TableName=table, PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        for row in page["Items"]:
            if expired(row.get(attribute), now):
                key = {name: row[name] for name in keys}
                if _delete(client, table, key, attribute, row[attribute]):
                    deleted(table, key)


def _delete(
    client: DynamoDBClient,
    table: str,
    key: Mapping[str, AttributeValueTypeDef],
    attribute: str,
    seen: AttributeValueTypeDef,
) -> bool:
    try:
        client.delete_item(
            TableName=table,
            Key=key,
            ConditionExpression="#ttl = :seen",
            ExpressionAttributeNames={"#ttl": attribute},
            ExpressionAttributeValues={":seen": seen},
        )
    except client.exceptions.ConditionalCheckFailedException:
        _log.info("a row of %s got a new time to live", table)
        return False
    return True
