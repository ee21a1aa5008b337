"""A connection as DynamoDB's attribute values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from chalicelib.connection import UNKNOWN_CLIENT, Connection
from chalicelib.errors import MalformedRowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]


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
        created_at=int(_required(item, "createdAt", "N")),
        ttl=int(_required(item, "ttl", "N")),
        client_id=_text(item, "clientId") or UNKNOWN_CLIENT,
        connected_at=int(item["connectedAt"]["N"]) if _is(item, "connectedAt", "N") else None,
        source_ip=_text(item, "sourceIp"),
        user_agent=_text(item, "userAgent"),
        region=_text(item, "region"),
        api_id=_text(item, "apiId"),
        stage=_text(item, "stage"),
        domain_name=_text(item, "domainName"),
        closing=_text(item, "closing"),
    )


def decoded(items: Iterable[Item]) -> tuple[tuple[Connection, ...], tuple[str, ...]]:
    """Tell connections from the ids of rows that something else wrote: they stop no reader."""
    connections, malformed = [], []
    for item in items:
        try:
            connections.append(from_item(item))
        except MalformedRowError as error:
            malformed.append(error.connection_id)
    return tuple(connections), tuple(malformed)


def _is(item: Item, attribute: str, kind: str) -> bool:
    value = item.get(attribute, {}).get(kind)
    if not isinstance(value, str):
        return False
    return kind != "N" or value.lstrip("-").isdecimal()


def _text(item: Item, attribute: str) -> str | None:
    return item[attribute]["S"] if _is(item, attribute, "S") else None


def _required(item: Item, attribute: str, kind: str) -> str:
    if not _is(item, attribute, kind):
        raise MalformedRowError(item.get("connectionId", {}).get("S", ""), attribute)
    text: str = cast("Any", item[attribute])[kind]
    return text
