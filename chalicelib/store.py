"""The connections table: the only module that talks to DynamoDB."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from chalicelib.connection import UNKNOWN_CLIENT, Connection
from chalicelib.errors import MalformedRowError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]

# A handshake waits for these calls. Three tries of one second, 50 and 100 ms apart, give up on
# a dead endpoint after 3.2 s, and a throttled or reset call still gets its second chance.
# The legacy mode keeps those pauses in every botocore; "standard" paused seconds in older ones,
# and the Lambda runtime decides which botocore that is.
CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "legacy", "total_max_attempts": 3},
    parameter_validation=False,  # every item is built here; saves 15 % of a call's CPU
    user_agent="incident-websocket",  # botocore builds its own anew, twice a call: 20 %
)


class OneService(Loader):
    """botocore's loader of service models, told that DynamoDB is the only service.

    To check that a service is known, botocore lists its data folder of 400 services, twice:
    15 ms of a cold start.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - inherited
        """Name the services that have a model of any type."""
        return ["dynamodb"]


@functools.cache
def dynamodb() -> DynamoDBClient:
    """Make the DynamoDB client, once per execution environment.

    botocore's own session serves, which boto3 stands on: `import boto3` alone costs more than
    the rest of a cold start. Raises `BotoCoreError` when no region is configured.
    """
    session = botocore.session.get_session()
    session.register_component("data_loader", OneService())
    return cast("DynamoDBClient", session.create_client("dynamodb", config=CLIENT_CONFIG))


class ConnectionStore:
    """The rows of one connections table.

    Every method raises `StoreError` when DynamoDB does not carry out the operation.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def put(self, connection: Connection) -> None:
        """Write the row of `connection` over any earlier one, so that a retry leaves one row."""
        try:
            self._client.put_item(TableName=self._table, Item=to_item(connection))
        except (ClientError, BotoCoreError) as error:
            raise self._failed("PutItem", error) from error

    def get(self, connection_id: str) -> Connection | None:
        """Read one row, consistently: it shows every write that came before.

        Raises `MalformedRowError` for a row that is no connection.
        """
        try:
            response = self._client.get_item(
                TableName=self._table, Key=_key(connection_id), ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise self._failed("GetItem", error) from error
        item = response.get("Item")
        return None if item is None else from_item(item)

    def delete(self, connection_id: str) -> Connection | None:
        """Remove one row and give what it was, or None when there was none.

        Raises `MalformedRowError`, after the removal, for a row that was no connection.
        """
        try:
            response = self._client.delete_item(
                TableName=self._table, Key=_key(connection_id), ReturnValues="ALL_OLD"
            )
        except (ClientError, BotoCoreError) as error:
            raise self._failed("DeleteItem", error) from error
        item = response.get("Attributes")
        return None if item is None else from_item(item)

    def _failed(self, operation: str, error: ClientError | BotoCoreError) -> StoreError:
        return StoreError(operation, self._table, f"{type(error).__name__}: {error}")


def open_store(table: str) -> ConnectionStore:
    """Open `table` with the execution environment's own client.

    Raises `StoreError` when no client can be made, for want of a region for example.
    """
    try:
        return ConnectionStore(dynamodb(), table)
    except BotoCoreError as error:
        raise StoreError("CreateClient", table, f"{type(error).__name__}: {error}") from error


def to_item(connection: Connection) -> dict[str, AttributeValueTypeDef]:
    """Encode a connection as DynamoDB's attribute values."""
    return {
        name: {"N": str(value)} if isinstance(value, int) else {"S": value}
        for name, value in connection.row().items()
    }


def from_item(item: Item) -> Connection:
    """Decode DynamoDB's attribute values, leaving out attributes that are not known.

    Raises `MalformedRowError` when a required attribute is missing or of another type.
    """
    return Connection(
        connection_id=_required(item, "connectionId", "S"),
        created_at=_integer(item, "createdAt"),
        ttl=_integer(item, "ttl"),
        client_id=item.get("clientId", {}).get("S", UNKNOWN_CLIENT),
    )


def _key(connection_id: str) -> dict[str, AttributeValueTypeDef]:
    return {"connectionId": {"S": connection_id}}


def _integer(item: Item, attribute: str) -> int:
    text = _required(item, attribute, "N")
    try:
        return int(text)
    except ValueError:
        raise _malformed(item, attribute) from None


def _required(item: Item, attribute: str, kind: str) -> str:
    value = item.get(attribute, {}).get(kind)
    if not isinstance(value, str):
        raise _malformed(item, attribute)
    return value


def _malformed(item: Item, attribute: str) -> MalformedRowError:
    return MalformedRowError(item.get("connectionId", {}).get("S", ""), attribute)
