"""How many connections one client may have: the newest ones stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.connection import Connection


def over_limit(connections: Iterable[Connection], limit: int) -> list[Connection]:
    """Return one client's connections beyond `limit`: all but the newest, newest first."""
    return sorted(connections, key=_age, reverse=True)[limit:]


def _age(connection: Connection) -> tuple[int, str]:
    """Return what orders connections by age: the handshake, as API Gateway saw it.

    `createdAt` is later where a function was slow, or where `$connect` was delivered twice.
    """
    at = connection.created_at if connection.connected_at is None else connection.connected_at
    return at, connection.connection_id
