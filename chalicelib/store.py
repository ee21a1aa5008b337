"""The connections table: every call on it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters import aws_clients as sdk
from chalicelib.domain.connection import Connection, oldest_possible_ms
from chalicelib.domain.errors import StoreError
from chalicelib.domain.rows import decoded, from_item, to_item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

CLIENT_INDEX = "ByClient"
# The sweep's own row. It has no `createdAt`, so no reader takes it for a connection, and `#` is
# not in the base64 alphabet of API Gateway's ids.
SWEEP_ROW = "#sweep"
# A page is read and probed as a whole, so it must fit easily into one run of the sweep.
PAGE_ROWS = 500

_IS_ALIVE = "#ttl > :now AND createdAt > :oldest"
_IS_UNCHANGED = "createdAt = :createdAt"


@dataclass(frozen=True)
class Page:
    """A page of the table: its connections, and the ids of malformed rows."""

    connections: tuple[Connection, ...]
    malformed: tuple[str, ...]


@dataclass(frozen=True)
class Position:
    """How far the sweep's pass over the table has come. Times are epoch ms.

    The next run continues behind the row `start`, or begins a new pass if it is None. `since_ms`
    is the start of the pass, `previous_ms` that of the last complete pass before it, or 0. `live`
    counts the connections presumed alive that the pass has met.
    """

    start: str | None
    since_ms: int
    previous_ms: int = 0
    live: int = 0


def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client. Raises `BotoCoreError` when no region is configured."""
    return cast("DynamoDBClient", sdk.client("dynamodb"))


class ConnectionStore:
    """The rows of one connections table.

    Every method raises `StoreError` when DynamoDB does not confirm the operation. Times are
    epoch ms.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def put(self, connection: Connection) -> None:
        """Write the row, replacing an earlier one, so that a retry leaves one row."""
        self._call("put_item", Item=to_item(connection))

    def get(self, connection_id: str) -> Connection | None:
        """Return one row, read consistently.

        Raises `MalformedRowError` for a row that is not a connection.
        """
        response = self._call("get_item", Key=_key(connection_id), ConsistentRead=True)
        return from_item(response["Item"]) if "Item" in response else None

    def delete(self, connection_id: str) -> Connection | None:
        """Remove one row and return it, or None if it did not exist.

        Raises `MalformedRowError`, after the removal, for a row that was not a connection.
        """
        response = self._call("delete_item", Key=_key(connection_id), ReturnValues="ALL_OLD")
        return from_item(response["Attributes"]) if "Attributes" in response else None

    def mark_closing(self, connection: Connection, cause: str) -> None:
        """Record why the server is about to close `connection`, if its row still exists."""
        with _unless_it_changed():
            self._call(
                "update_item",
                Key=_key(connection.connection_id),
                UpdateExpression="SET closing = :cause",
                ConditionExpression=_IS_UNCHANGED,
                ExpressionAttributeValues={":cause": {"S": cause}, **_created_at(connection)},
            )

    def remove(self, judged: Connection) -> Connection | None:
        """Remove the row of `judged` unless it was replaced since.

        Returns the row to the one caller that removed it, and None to all others.
        """
        with _unless_it_changed():
            response = self._call(
                "delete_item",
                Key=_key(judged.connection_id),
                ConditionExpression=_IS_UNCHANGED,
                ExpressionAttributeValues=_created_at(judged),
                ReturnValues="ALL_OLD",
            )
            return from_item(response["Attributes"])
        return None

    def live_one(self, connection_id: str, now_ms: int) -> Connection | None:
        """Return one connection, or None if it cannot be alive."""
        connection = self.get(connection_id)
        return connection if connection and connection.may_live(now_ms) else None

    def of_client(
        self, client_id: str, now_ms: int, *, after: tuple[str, int] | None = None
    ) -> Iterator[Connection]:
        """Yield the live connections of a client, newest first, from the index.

        Starts behind the connection with the id and the `createdAt` (epoch ms) of `after`. The
        index follows the table with a delay, usually of well under a second.
        """
        start: dict[str, Any] = {}
        if after is not None:
            client = {"knownClientId": {"S": client_id}, "createdAt": {"N": str(after[1])}}
            start["ExclusiveStartKey"] = _key(after[0]) | client
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
        With `addresses_only` only the attributes needed for posting are read.
        """
        number, total = segment
        arguments: dict[str, Any] = {"Segment": number, "TotalSegments": total}
        if after is not None:
            arguments["ExclusiveStartKey"] = _key(after)
        if addresses_only:
            arguments["ProjectionExpression"] = (
                "connectionId, createdAt, #ttl, #region, apiId, stage"
            )
            arguments["ExpressionAttributeNames"] = {"#region": "region"}
        yield from self._read("scan", now_ms, FilterExpression=_IS_ALIVE, **arguments)

    def pages(self, start: str | None) -> Iterator[Page]:
        """Yield the pages of the whole table, dead rows included, starting behind `start`."""
        key = None if start is None else _key(start)
        while True:
            arguments: dict[str, Any] = {"ExclusiveStartKey": key} if key else {}
            response = self._call(
                "scan",
                Limit=PAGE_ROWS,
                FilterExpression="connectionId <> :sweep",
                ExpressionAttributeValues={":sweep": {"S": SWEEP_ROW}},
                **arguments,
            )
            yield Page(*decoded(response["Items"]))
            key = response.get("LastEvaluatedKey")
            if key is None:
                return

    def position(self) -> Position | None:
        """Return the sweep's position, or None before the first run."""
        response = self._call("get_item", Key=_key(SWEEP_ROW), ConsistentRead=True)
        if "Item" not in response:
            return None
        item = response["Item"]
        numbers = (int(item[name]["N"]) for name in ("since", "previous", "live"))
        return Position(item.get("start", {}).get("S"), *numbers)

    def save_position(self, position: Position) -> None:
        """Save the sweep's position."""
        item = _key(SWEEP_ROW) | {
            "since": {"N": str(position.since_ms)},
            "previous": {"N": str(position.previous_ms)},
            "live": {"N": str(position.live)},
        }
        if position.start is not None:
            item["start"] = {"S": position.start}
        self._call("put_item", Item=item)

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
            response = self._call(operation, **arguments)
            yield from decoded(response["Items"])[0]
            if "LastEvaluatedKey" not in response:
                return
            arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, method)(TableName=self._table, **arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise StoreError(error.operation_name, self._table, code, str(error)) from error
        except BotoCoreError as error:
            operation = self._client.meta.method_to_api_mapping[method]
            code = type(error).__name__
            raise StoreError(operation, self._table, code, str(error)) from error


def open_store(table: str) -> ConnectionStore:
    """Open `table` with the client of this execution environment.

    Raises `StoreError` when no client can be created, for example without a region.
    """
    try:
        return ConnectionStore(dynamodb(), table)
    except BotoCoreError as error:
        raise StoreError("CreateClient", table, type(error).__name__, str(error)) from error


@contextlib.contextmanager
def _unless_it_changed() -> Iterator[None]:
    """Ignore rows that were replaced since they were judged."""
    try:
        yield
    except StoreError as error:
        if error.code != "ConditionalCheckFailedException":
            raise


def _key(connection_id: str) -> dict[str, AttributeValueTypeDef]:
    return {"connectionId": {"S": connection_id}}


def _created_at(connection: Connection) -> dict[str, AttributeValueTypeDef]:
    return {":createdAt": {"N": str(connection.created_at)}}
