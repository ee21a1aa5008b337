"""Faults of the embedded AWS on purpose, which can be changed while it serves."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Faults:
    """Shares from 0 to 1 of calls and messages, and times.

    `dynamodb_fail` of item calls fail, each after `dynamodb_lag` ms. `repeat_messages` of SNS are
    delivered twice, each of them up to `shuffle_messages` s late, so in another order.
    """

    dynamodb_fail: float = 0.0
    dynamodb_lag: float = 0.0
    repeat_messages: float = 0.0
    shuffle_messages: float = 0.0

    def deliver(self, delivery: Callable[[], None]) -> None:
        """Deliver a message with these faults."""
        for _ in range(2 if happens(self.repeat_messages) else 1):
            if self.shuffle_messages:
                delay = random.uniform(0, self.shuffle_messages)  # noqa: S311 - not secrecy
                timer = threading.Timer(delay, delivery)
                timer.daemon = True
                timer.start()
            else:
                delivery()


def happens(share: float) -> bool:
    """Return whether a fault with this share happens now."""
    return random.random() < share  # noqa: S311 - chance, not secrecy
