"""A connection as an item of the DynamoDB table, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.domain.connection import UNKNOWN_CLIENT, Connection, is_moment
from chalicelib.domain.errors import MalformedRowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]


T = TypeVar("T")

_EXPECTED = {
    "connectionId": "a string",
    "createdAt": "an integer number of epoch milliseconds",
    "ttl": "an integer number of epoch seconds",
}


def to_item(connection: Connection) -> dict[str, AttributeValueTypeDef]:
    """Encode a connection as DynamoDB attribute values."""
    return {name: _encoded(value) for name, value in connection.row().items()}


def from_item(item: Item) -> Connection:
    """Decode an item. Attributes that the application does not know are ignored.

    Raises `MalformedRowError` when a required attribute is missing or cannot be a connection's.
    """
    return Connection(
        connection_id=_required("connectionId", _text(item, "connectionId"), item),
        created_at=_required("createdAt", _moment(item, "createdAt"), item),
        ttl=_required("ttl", _integer(item, "ttl"), item),
        client_id=_text(item, "clientId") or UNKNOWN_CLIENT,
        connected_at=_moment(item, "connectedAt"),
        source_ip=_text(item, "sourceIp"),
        user_agent=_text(item, "userAgent"),
        region=_text(item, "region"),
        api_id=_text(item, "apiId"),
        stage=_text(item, "stage"),
        domain_name=_text(item, "domainName"),
        closing=_text(item, "closing"),
        closing_at=_integer(item, "closingAt"),
        close_reason=_text(item, "closeReason"),
        close_reconnect=_boolean(item, "closeReconnect"),
        close_due=_boolean(item, "closeDue"),
        expires_at=_integer(item, "expiresAt"),
    )


def decoded(items: Iterable[Item]) -> tuple[tuple[Connection, ...], tuple[Item, ...]]:
    """Split items into connections and malformed rows, which stop no reader."""
    connections, malformed = [], []
    for item in items:
        try:
            connections.append(from_item(item))
        except MalformedRowError:
            malformed.append(item)
    return tuple(connections), tuple(malformed)


def _encoded(value: str | int | bool) -> AttributeValueTypeDef:
    if isinstance(value, bool):  # which is an int, too
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def _boolean(item: Item, attribute: str) -> bool | None:
    value: Any = item.get(attribute)
    given = value.get("BOOL") if value else None
    return given if isinstance(given, bool) else None


def _text(item: Item, attribute: str) -> str | None:
    value: Any = item.get(attribute)
    text = value.get("S") if value else None
    return text if isinstance(text, str) else None


def _integer(item: Item, attribute: str) -> int | None:
    value: Any = item.get(attribute)
    try:
        return int(value["N"]) if value else None
    except (KeyError, TypeError, ValueError):  # another type, or a fraction
        return None


def _moment(item: Item, attribute: str) -> int | None:
    value = _integer(item, attribute)
    return value if value is not None and is_moment(value) else None


def _required(attribute: str, value: T | None, item: Item) -> T:
    if value is None:
        connection_id = _text(item, "connectionId") or ""
        seen = item.get(attribute)
        raise MalformedRowError(connection_id, attribute, seen, _EXPECTED[attribute])
    return value
