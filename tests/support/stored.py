"""Connections with all their metadata at a fixed time, and what a store does with them."""

from collections.abc import Iterator
from typing import Any

from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.domain.connection import Connection

NOW_MS = 1731324924561
NOW_S = NOW_MS // 1000


def connection(name: str, age_s: int = 0, client_id: str = "alice") -> Connection:
    """Return a connection with all its metadata."""
    return Connection(
        connection_id=name,
        created_at=NOW_MS - 1000 * age_s,
        ttl=NOW_S - age_s + 86_400,
        client_id=client_id,
        connected_at=NOW_MS - 1000 * age_s - 5,
        source_ip="203.0.113.7",
        user_agent="Mozilla/5.0",
        region="eu-west-1",
        api_id="abcdef1234",
        stage="dev",
        domain_name="ws.example.com",
    )


def aged(count: int, client_id: str = "alice") -> list[Connection]:
    """Return connections `0=`, `1=`, ... with as many seconds of age."""
    return [connection(f"{n}=", age_s=n, client_id=client_id) for n in range(count)]


ONE = connection("one=")


def requests(client: DynamoDBClient, operation: str = "*", rows: int = 0) -> list[dict[str, Any]]:
    """Record the requests from now on, and end each page after `rows` rows."""
    made: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: object) -> Any:
        made.append(params)
        return {**params, "Limit": rows} if rows else None

    client.meta.events.register(f"provide-client-params.dynamodb.{operation}", note)
    return made


def names(found: Iterator[Connection]) -> list[str]:
    """Return the ids of connections."""
    return [each.connection_id for each in found]
