"""A tracked connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.domain.events import Handshake

UNKNOWN_CLIENT = "unknown"

# API Gateway closes every connection after 2 hours; the quota cannot be raised:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_DURATION_MS = 2 * 3600 * 1000
# Allowance for clock differences and for a close that comes a little late.
MARGIN_MS = 5 * 60 * 1000

# `@connections` answers 410 for a connection whose handshake is still running, so a 410 proves
# nothing about a connection that is younger than this.
GRACE_S = 60

# With these a row stays under 1 KB, whatever the client sends and however the API is called: a
# larger one costs a second write unit.
USER_AGENT_LIMIT = 192
DOMAIN_NAME_LIMIT = 128
REASON_LIMIT = 128

# API Gateway has had WebSocket APIs since 18 December 2018, and ms reach this length in 5138:
# https://aws.amazon.com/blogs/compute/announcing-websocket-apis-in-amazon-api-gateway/
EARLIEST_MS = 1_545_091_200_000
LATEST_MS = 10**14

# A connection whose `$connect` can still be running: its timeout, and 2 s for clocks that differ.
# `@connections` answers 410 for it although it is about to open.
OPENING_S = 12
# A close and the `$disconnect` that follows it take no longer than this.
CLOSE_S = 30


@dataclass(frozen=True)
class Intent:
    """Why the server is about to close a connection, since `at` (epoch ms).

    `reconnect` says whether the client may come back; None leaves that to the cause. With `is_due`
    the sweep closes the connection if it is still open.
    """

    cause: str
    at: int
    reason: str | None = None
    reconnect: bool | None = None
    is_due: bool = False


@dataclass(frozen=True)
class Connection:
    """One connection: its client, its start and its expiry.

    `created_at` and `connected_at` are epoch ms, the second by API Gateway's clock; `ttl` is
    epoch s. `closing` is the cause with which the server is about to close the connection, since
    `closing_at` (epoch ms), `close_reason` the reason given by a person, and `close_reconnect`
    whether that person lets the client come back; with `close_due` the sweep has to close it.
    `expires_at` (epoch s) is when the client's token expires, which ends the connection.
    A field that is None was unknown and is not an attribute of the row.
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
    closing_at: int | None = None
    close_reason: str | None = None
    close_reconnect: bool | None = None
    close_due: bool | None = None
    expires_at: int | None = None

    @property
    def known_client_id(self) -> str | None:
        """The client's id, or None for an anonymous client, which the index leaves out."""
        return None if self.client_id == UNKNOWN_CLIENT else self.client_id

    def row(self) -> dict[str, str | int | bool]:
        """Return the attributes by column name."""
        attributes: dict[str, str | int | bool | None] = {
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
            "closingAt": self.closing_at,
            "closeReason": self.close_reason,
            "closeReconnect": self.close_reconnect,
            "closeDue": self.close_due,
            "expiresAt": self.expires_at,
        }
        return {name: value for name, value in attributes.items() if value is not None}

    def may_live(self, now_ms: int) -> bool:
        """Return whether the connection can be open: before its `ttl` and its maximum age.

        DynamoDB returns an expired row until it deletes it, which can take days.
        """
        return self.ttl > now_ms // 1000 and self.created_at > oldest_possible_ms(now_ms)

    def is_expired(self, now_ms: int) -> bool:
        """Return whether the client's token has expired: nothing is sent to it from `exp` on."""
        return self.expires_at is not None and self.expires_at <= now_ms // 1000

    def intent(self, ended_ms: int) -> Intent | None:
        """Return the intent that explains an end at `ended_ms` (epoch ms), if there is one.

        An intent lapses after `CLOSE_S`: it does not explain an end that follows much later.
        """
        if self.closing is None:
            return None
        at = ended_ms if self.closing_at is None else self.closing_at  # older rows have no time
        lapsed = ended_ms - at > CLOSE_S * 1000
        if lapsed:
            return None
        return Intent(self.closing, at, self.close_reason, self.close_reconnect)

    def may_be_opening(self, now_ms: int) -> bool:
        """Return whether the connection's handshake can still be running."""
        return self.age_s(now_ms) < OPENING_S

    def age_s(self, now_ms: int) -> float:
        """Return for how long the connection has been tracked, in seconds."""
        return max(0, now_ms - self.created_at) / 1000

    def duration_s(self, now_ms: int) -> float:
        """Return how long the connection lasted if it was found ended at `now_ms`, in seconds.

        An orphan may be found days later, but no connection outlives API Gateway's 2 hours.
        """
        return min(self.age_s(now_ms), (MAX_DURATION_MS + MARGIN_MS) / 1000)


def is_moment(epoch_ms: int) -> bool:
    """Return whether `epoch_ms` can be when a connection opened. Seconds or microseconds cannot."""
    return EARLIEST_MS <= epoch_ms < LATEST_MS


def opened(
    handshake: Handshake,
    client_id: str | None,
    region: str | None,
    now_ms: int,
    ttl_seconds: int,
    expires_at: int | None = None,
) -> Connection:
    """Return the connection that opens at `now_ms` (epoch ms).

    Its row lasts for `ttl_seconds`, its client's token until `expires_at` (epoch s), if given.
    """
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
        domain_name=cut(handshake.domain_name, DOMAIN_NAME_LIMIT),
        expires_at=expires_at,
    )


def cut(text: str | None, limit: int) -> str | None:
    """Cut `text` to at most `limit` characters and `limit` bytes of UTF-8."""
    if text is None:
        return None
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def oldest_possible_ms(now_ms: int) -> int:
    """Return the epoch ms before which no connection that is open at `now_ms` can have opened."""
    return now_ms - MAX_DURATION_MS - MARGIN_MS
