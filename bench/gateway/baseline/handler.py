"""The peer's two functions: put a connection's row, read it back, and delete it at the end."""

import os
import time
from typing import Any

import boto3

TABLE = os.environ["CONNECTIONS_TABLE"]
DYNAMODB = boto3.client("dynamodb")


def connect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Put the row of the connection that opens, and read it back."""
    now = time.time()
    key = {"connectionId": {"S": event["requestContext"]["connectionId"]}}
    DYNAMODB.put_item(
        TableName=TABLE,
        Item={
            **key,
            "createdAt": {"N": str(int(now * 1000))},
            "ttl": {"N": str(int(now) + 24 * 3600)},
            "clientId": {"S": "unknown"},
        },
    )
    stored = "Item" in DYNAMODB.get_item(TableName=TABLE, Key=key, ConsistentRead=True)
    return {"statusCode": 200 if stored else 500}


def disconnect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Delete the row of the connection that ended."""
    DYNAMODB.delete_item(
        TableName=TABLE,
        Key={"connectionId": {"S": event["requestContext"]["connectionId"]}},
    )
    return {"statusCode": 200, "body": "disconnected"}
