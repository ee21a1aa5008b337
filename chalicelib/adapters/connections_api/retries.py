"""When a call to `@connections` is retried, and after which delay."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.adapters.connections_api.calls import Reply

# The retries of a call end after 11 s at most, so that a client whose buffer stays full does not
# keep an invocation busy until its deadline.
MAX_ATTEMPTS = 8
FIRST_DELAY = 0.1  # s
MAX_DELAY = 5.0  # s


def backoff(
    reply: Reply, attempts: int, spread: Callable[[float, float], float] = random.uniform
) -> float | None:
    """Return the delay before the next retry in seconds, or None to give up.

    Transient failures are retried: 429, 5xx, and a connection that could not be opened. The
    delay is exponential with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A request that
    was sent and not answered is not retried: the client may have the message.
    """
    transient = (
        not reply.sent if reply.status is None else reply.status == 429 or reply.status >= 500
    )
    if not transient or attempts >= MAX_ATTEMPTS:
        return None
    return spread(0, min(MAX_DELAY, FIRST_DELAY * 2 ** (attempts - 1)))
