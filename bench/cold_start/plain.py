"""The baseline: the two handlers as a tutorial writes them, with `boto3.resource`."""

import json
import logging
import os
import time
from typing import Any

import boto3

logger = logging.getLogger("plain")
logger.setLevel(logging.INFO)
logger.addHandler(logging.StreamHandler())

table = boto3.resource("dynamodb").Table(os.environ["CONNECTIONS_TABLE"])


def connect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Put the row, read it back, log it."""
    connection_id = event["requestContext"]["connectionId"]
    now = int(time.time() * 1000)
    ttl = now // 1000 + int(os.environ.get("TTL_HOURS", "24")) * 3600
    row = {"connectionId": connection_id, "createdAt": now, "ttl": ttl, "clientId": "unknown"}
    table.put_item(Item=row)
    stored = table.get_item(Key={"connectionId": connection_id}, ConsistentRead=True)["Item"]
    logger.info(json.dumps({"message": "connected", "row": stored}, default=str))
    return {"statusCode": 200, "body": "connected"}


def disconnect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Delete the row, log it."""
    connection_id = event["requestContext"]["connectionId"]
    table.delete_item(Key={"connectionId": connection_id})
    logger.info(json.dumps({"message": "disconnected", "connectionId": connection_id}))
    return {"statusCode": 200, "body": "disconnected"}
