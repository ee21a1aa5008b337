"""How many connections one client may have: the newest ones stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.connection import Connection


def over_limit(connections: Iterable[Connection], limit: int) -> list[Connection]:
    """Return one client's connections beyond `limit`: all but the newest, newest first."""
    newest_first = sorted(connections, key=lambda c: (c.created_at, c.connection_id), reverse=True)
    return newest_first[limit:]
