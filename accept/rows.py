"""The rows of the connections table, read and removed without the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from accept.aws import code_of
from accept.errors import UndecidedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accept.aws import Aws

INDEX = "ByClient"
MAX_PAGES = 10  # of 1 MB each, about 20,000 rows
Row = dict[str, Any]


class Rows:
    """The rows of one table."""

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    async def get(self, connection_id: str) -> Row | None:
        """Return a row by a consistent read, or None."""
        answer = await self._aws.call(
            "dynamodb",
            "get_item",
            TableName=self._table,
            Key={"connectionId": {"S": connection_id}},
            ConsistentRead=True,
        )
        return _row(answer["Item"]) if "Item" in answer else None

    async def indexed(self, client_id: str) -> list[Row]:
        """Return a client's rows from the index, oldest first."""
        answer = await self._aws.call(
            "dynamodb",
            "query",
            TableName=self._table,
            IndexName=INDEX,
            KeyConditionExpression="knownClientId = :client",
            ExpressionAttributeValues={":client": {"S": client_id}},
        )
        return [_row(item) for item in answer["Items"]]

    async def of_agent(self, prefix: str) -> list[Row]:
        """Return the rows of clients whose user agent begins with `prefix`, by a scan.

        Raise `UndecidedError` if the table is too large to be scanned.
        """
        rows: list[Row] = []
        start: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            page = await self._aws.call(
                "dynamodb",
                "scan",
                TableName=self._table,
                FilterExpression="begins_with(userAgent, :agent)",
                ExpressionAttributeValues={":agent": {"S": prefix}},
                ConsistentRead=True,
                **start,
            )
            rows += [_row(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return rows
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        raise UndecidedError(f"table {self._table} is larger than {MAX_PAGES} MB")

    async def remove(self, row: Row) -> None:
        """Remove a row if it is still that of the same client."""
        try:
            await self._aws.call(
                "dynamodb",
                "delete_item",
                TableName=self._table,
                Key={"connectionId": {"S": row["connectionId"]}},
                ConditionExpression="userAgent = :agent",
                ExpressionAttributeValues={":agent": {"S": row["userAgent"]}},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise


def _row(item: Mapping[str, Any]) -> Row:
    decode = TypeDeserializer().deserialize
    return {
        name: int(value["N"]) if "N" in value and value["N"].isdecimal() else decode(value)
        for name, value in item.items()
    }
