"""A tracked connection, as one row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.events import Handshake

UNKNOWN_CLIENT = "unknown"

# API Gateway closes every connection after 2 hours, by a quota that cannot be raised:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_DURATION_MS = 2 * 3600 * 1000
# What is left for clocks that differ and for a close that comes a little late.
MARGIN_MS = 5 * 60 * 1000

# API Gateway answers "gone" for a connection whose handshake is still going on, so the answer
# proves nothing for one that is younger than this.
GRACE_S = 60

USER_AGENT_LIMIT = 256


@dataclass(frozen=True)
class Connection:
    """Who is connected, since when and until when.

    `created_at` and `connected_at` are in epoch ms, the second by API Gateway's clock; `ttl` is
    in epoch s. `closing` is the cause with which the server is about to close the connection.
    What is None was not known, and is not an attribute of the row.
    """

    connection_id: str
    created_at: int
    ttl: int
    client_id: str = UNKNOWN_CLIENT
    connected_at: int | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    region: str | None = None
    api_id: str | None = None
    stage: str | None = None
    domain_name: str | None = None
    closing: str | None = None

    @property
    def known_client_id(self) -> str | None:
        """Name the client for the index, which anonymous connections must stay out of."""
        return None if self.client_id == UNKNOWN_CLIENT else self.client_id

    def row(self) -> dict[str, str | int]:
        """Give the attributes as the table names them."""
        attributes: dict[str, str | int | None] = {
            "connectionId": self.connection_id,
            "createdAt": self.created_at,
            "ttl": self.ttl,
            "clientId": self.client_id,
            "knownClientId": self.known_client_id,
            "connectedAt": self.connected_at,
            "sourceIp": self.source_ip,
            "userAgent": self.user_agent,
            "region": self.region,
            "apiId": self.api_id,
            "stage": self.stage,
            "domainName": self.domain_name,
            "closing": self.closing,
        }
        return {name: value for name, value in attributes.items() if value is not None}

    def may_live(self, now_ms: int) -> bool:
        """Tell whether the connection can be alive: not past its `ttl`, nor older than it can be.

        DynamoDB deletes a row some time within days after its `ttl`, and until then gives it out.
        """
        return self.ttl > now_ms // 1000 and self.created_at > oldest_possible_ms(now_ms)

    def age_s(self, now_ms: int) -> float:
        """Give how long the connection has been tracked, in seconds."""
        return max(0, now_ms - self.created_at) / 1000


def opened(
    handshake: Handshake, client_id: str | None, region: str | None, now_ms: int, ttl_seconds: int
) -> Connection:
    """Describe a connection that opens at `now_ms` and whose row lives for `ttl_seconds`."""
    return Connection(
        connection_id=handshake.connection_id,
        created_at=now_ms,
        ttl=now_ms // 1000 + ttl_seconds,
        client_id=client_id or UNKNOWN_CLIENT,
        connected_at=handshake.connected_at,
        source_ip=handshake.source_ip,
        user_agent=cut(handshake.user_agent, USER_AGENT_LIMIT),
        region=region,
        api_id=handshake.api_id,
        stage=handshake.stage,
        domain_name=handshake.domain_name,
    )


def cut(text: str | None, limit: int) -> str | None:
    """Cut `text` to at most `limit` characters and `limit` bytes of UTF-8."""
    if text is None:
        return None
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def oldest_possible_ms(now_ms: int) -> int:
    """Give the moment before which no connection that is alive at `now_ms` can have opened."""
    return now_ms - MAX_DURATION_MS - MARGIN_MS


def over_limit(newest_first: Iterable[Connection], limit: int) -> list[Connection]:
    """Name the connections of one client that are too many: the oldest (the newest win)."""
    ordered = sorted(newest_first, key=lambda c: (c.created_at, c.connection_id), reverse=True)
    return ordered[limit:]
