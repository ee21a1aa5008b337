"""Reads the connections table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.table import Table
from chalicelib.domain.connection import Connection, oldest_possible_ms
from chalicelib.domain.rows import decoded, from_item
from chalicelib.domain.sweep_position import SWEEP_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from chalicelib.domain.rows import Item

CLIENT_INDEX = "ByClient"
# A page is read and probed as a whole, so it must fit easily into one run of the sweep.
PAGE_ROWS = 500

_IS_ALIVE = "#ttl > :now AND createdAt > :oldest"


@dataclass(frozen=True)
class Page:
    """A page of the table: its connections, and the items of malformed rows."""

    connections: tuple[Connection, ...]
    malformed: tuple[Item, ...]


@dataclass(frozen=True)
class ConnectionReader(Table):
    """The rows of one connections table, to read, for one invocation. Times are epoch ms."""

    def get(self, connection_id: str, *, consistent: bool = True) -> Connection | None:
        """Return one row. A read that is not `consistent` costs half, and may miss a new row.

        Raises `MalformedRowError` for a row that is not a connection.
        """
        response = self.call("get_item", Key=key(connection_id), ConsistentRead=consistent).body
        return from_item(response["Item"]) if "Item" in response else None

    def live_one(self, connection_id: str, now_ms: int) -> Connection | None:
        """Return one connection, or None if it cannot be alive."""
        connection = self.get(connection_id)
        return connection if connection and connection.may_live(now_ms) else None

    def of_client(
        self,
        client_id: str,
        now_ms: int,
        *,
        after: tuple[str, int] | None = None,
        page: int | None = None,
    ) -> Iterator[Connection]:
        """Yield the live connections of a client, newest first, from the index.

        Starts behind the connection with the id and the `createdAt` (epoch ms) of `after`. Reads
        `page` rows at once, if given, else 1 MB. The index follows the table with a delay, usually
        of well under a second.
        """
        start: dict[str, Any] = {} if page is None else {"Limit": page}
        if after is not None:
            if after[1] <= oldest_possible_ms(now_ms):
                return  # the rest is older still; DynamoDB starts no query outside its condition
            client = {"knownClientId": {"S": client_id}, "createdAt": {"N": str(after[1])}}
            start["ExclusiveStartKey"] = key(after[0]) | client
        yield from self._read(
            "query",
            now_ms,
            IndexName=CLIENT_INDEX,
            KeyConditionExpression="knownClientId = :client AND createdAt > :oldest",
            FilterExpression="#ttl > :now",
            ExpressionAttributeValues={":client": {"S": client_id}},
            ScanIndexForward=False,
            **start,
        )

    def live(
        self,
        now_ms: int,
        segment: tuple[int, int] = (0, 1),
        *,
        addresses_only: bool = False,
        after: str | None = None,
    ) -> Iterator[Connection]:
        """Yield every live connection, starting behind the id `after`.

        `segment` is one part of a parallel scan: its number from 0, and the number of segments.
        With `addresses_only` only those attributes are read that posting needs, or telling the end
        of a connection that is gone.
        """
        number, total = segment
        arguments: dict[str, Any] = {"Segment": number, "TotalSegments": total}
        if after is not None:
            arguments["ExclusiveStartKey"] = key(after)
        if addresses_only:
            arguments["ProjectionExpression"] = (
                "connectionId, createdAt, connectedAt, expiresAt, #ttl, #region, apiId, stage, "
                "clientId, closeReason"
            )
            arguments["ExpressionAttributeNames"] = {"#region": "region"}
        yield from self._read("scan", now_ms, FilterExpression=_IS_ALIVE, **arguments)

    def pages(self, start: str | None) -> Iterator[Page]:
        """Yield the pages of the whole table, dead rows included, starting behind `start`."""
        behind = None if start is None else key(start)
        while True:
            arguments: dict[str, Any] = {"ExclusiveStartKey": behind} if behind else {}
            response = self.call(
                "scan",
                Limit=PAGE_ROWS,
                FilterExpression="connectionId <> :sweep",
                ExpressionAttributeValues={":sweep": {"S": SWEEP_ROW}},
                **arguments,
            ).body
            yield Page(*decoded(response["Items"]))
            behind = response.get("LastEvaluatedKey")
            if behind is None:
                return

    def _read(self, operation: str, now_ms: int, **arguments: Any) -> Iterator[Connection]:
        """Yield the results of a query or scan, without connections that cannot be alive."""
        values = {
            ":now": {"N": str(now_ms // 1000)},
            ":oldest": {"N": str(oldest_possible_ms(now_ms))},
        }
        arguments["ExpressionAttributeValues"] = values | arguments.get(
            "ExpressionAttributeValues", {}
        )
        names = {"#ttl": "ttl"} | arguments.get("ExpressionAttributeNames", {})
        arguments["ExpressionAttributeNames"] = names
        while True:
            response = self.call(operation, **arguments).body
            yield from decoded(response["Items"])[0]
            if "LastEvaluatedKey" not in response:
                return
            arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]


def key(connection_id: str) -> dict[str, AttributeValueTypeDef]:
    """Return the key of a row, as DynamoDB has it."""
    return {"connectionId": {"S": connection_id}}
