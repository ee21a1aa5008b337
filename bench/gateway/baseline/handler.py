"""The peer's two functions: put a connection's row and delete it, and nothing else."""

import os
import time
from typing import Any

import boto3

TABLE = os.environ["CONNECTIONS_TABLE"]
DYNAMODB = boto3.client("dynamodb")


def connect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Put the row of the connection that opens."""
    now = time.time()
    DYNAMODB.put_item(
        TableName=TABLE,
        Item={
            "connectionId": {"S": event["requestContext"]["connectionId"]},
            "createdAt": {"N": str(int(now * 1000))},
            "ttl": {"N": str(int(now) + 24 * 3600)},
            "clientId": {"S": "unknown"},
        },
    )
    return {"statusCode": 200, "body": "connected"}


def disconnect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Delete the row of the connection that ended."""
    DYNAMODB.delete_item(
        TableName=TABLE,
        Key={"connectionId": {"S": event["requestContext"]["connectionId"]}},
    )
    return {"statusCode": 200, "body": "disconnected"}
