"""A tracked connection, as one row of the table."""

from dataclasses import dataclass

UNKNOWN_CLIENT = "unknown"


@dataclass(frozen=True)
class Connection:
    """Who is connected, since when (`created_at`, epoch ms) and until when (`ttl`, epoch s)."""

    connection_id: str
    created_at: int
    ttl: int
    client_id: str = UNKNOWN_CLIENT

    def row(self) -> dict[str, str | int]:
        """Give the attributes as the table names them."""
        return {
            "connectionId": self.connection_id,
            "createdAt": self.created_at,
            "ttl": self.ttl,
            "clientId": self.client_id,
        }


def opened(connection_id: str, now_ms: int, ttl_seconds: int) -> Connection:
    """Describe a connection that opens at `now_ms` and whose row lives for `ttl_seconds`."""
    return Connection(
        connection_id=connection_id,
        created_at=now_ms,
        ttl=now_ms // 1000 + ttl_seconds,
    )
