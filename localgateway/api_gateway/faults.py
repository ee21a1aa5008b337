"""Faults of API Gateway on purpose, which can be changed while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localgateway.api_gateway.connections import BufferFullError, GoneError

if TYPE_CHECKING:
    from localgateway.api_gateway.connections import Connection

# In seconds; a shuffled message arrives up to so much later.
SHUFFLE_WITHIN = 0.3


@dataclass
class Faults:
    """Shares from 0 to 1.

    `drop_disconnects` are not delivered; `drop_posts` to `@connections` are answered with 200 and
    reach nobody; `repeat_messages` reach the client twice, `shuffle_messages` late.
    """

    drop_disconnects: float = 0.0
    drop_posts: float = 0.0
    repeat_messages: float = 0.0
    shuffle_messages: float = 0.0

    def deliver(self, connection: Connection, data: bytes) -> None:
        """Post a message with these faults; raise as `Connection.post` does."""
        if happens(self.drop_posts):
            return
        for _ in range(2 if happens(self.repeat_messages) else 1):
            if happens(self.shuffle_messages):
                delay = random.uniform(0, SHUFFLE_WITHIN)  # noqa: S311 - chance, not secrecy
                asyncio.get_running_loop().call_later(delay, _post_late, connection, data)
            else:
                connection.post(data)


def happens(share: float) -> bool:
    """Return whether a fault with this share happens now."""
    return random.random() < share  # noqa: S311 - chance, not secrecy


def _post_late(connection: Connection, data: bytes) -> None:
    with contextlib.suppress(GoneError, BufferFullError):
        connection.post(data)
