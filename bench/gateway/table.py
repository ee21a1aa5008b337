"""The connections table of the engine that both subjects write to, seen from outside."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAME = "IncidentWebSocketConnections-dev"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
POLL_INTERVAL = 0.03  # s


@dataclass(frozen=True)
class Drained:
    """How a table emptied: the moment its last row went, and the rows that stayed."""

    at: float  # time.perf_counter() s
    left: int


@dataclass(frozen=True)
class Table:
    """The connections table."""

    client: "DynamoDBClient"

    def count(self) -> int:
        """Return the number of rows."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=NAME, Select="COUNT", ConsistentRead=True
        )
        return sum(page["Count"] for page in pages)

    def drain(self, seconds: float) -> Drained:
        """Wait until the table is empty, at most that many seconds."""
        deadline = time.perf_counter() + seconds
        left, at = self.count(), time.perf_counter()
        while left and time.perf_counter() < deadline:
            time.sleep(POLL_INTERVAL)
            count = self.count()
            if count < left:
                left, at = count, time.perf_counter()
        return Drained(at, left)

    def clear(self) -> None:
        """Delete every row."""
        for page in self.client.get_paginator("scan").paginate(TableName=NAME):
            for item in page["Items"]:
                self.client.delete_item(TableName=NAME, Key={"connectionId": item["connectionId"]})


def connect(endpoint: str, credentials: Mapping[str, str] = CREDENTIALS) -> Table:
    """Return the connections table of the engine at this address."""
    return Table(
        boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        )
    )
