"""Faults of API Gateway on purpose, which can be changed while it serves."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgateway.api_gateway.connections import Connection


@dataclass
class Faults:
    """Shares from 0 to 1.

    `drop_disconnects` are not delivered; `drop_posts` to `@connections` are answered with 200 and
    reach nobody.
    """

    drop_disconnects: float = 0.0
    drop_posts: float = 0.0

    def deliver(self, connection: Connection, data: bytes) -> bool:
        """Post a message with these faults; raise as `Connection.post` does.

        Return False if it was dropped.
        """
        if happens(self.drop_posts):
            return False
        connection.post(data)
        return True


def happens(share: float) -> bool:
    """Return whether a fault with this share happens now."""
    return random.random() < share  # noqa: S311 - chance, not secrecy
