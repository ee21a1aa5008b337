"""The client of API Gateway's `@connections` API.

Requests are signed and sent by AWS's C runtime at a small part of the CPU of a boto3 call
(bench/fanout). The runtime is imported for the first request only, so that a function that
makes none does not pay for it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botocore.credentials import Credentials

    from chalicelib.adapters.connections_api.calls import Call, OnReply, Retry
    from chalicelib.adapters.connections_api.endpoint import Endpoint


@dataclass(frozen=True)
class ConnectionsApiClient:
    """The `@connections` API of one stage.

    `concurrency` is the maximum number of requests in flight, each on a pooled connection of its
    own. `timeout` (s) is the time for one request, including connecting. `credentials` are
    botocore's, which refresh themselves.
    """

    endpoint: Endpoint
    credentials: Credentials
    concurrency: int = 32
    timeout: float = 3.0

    def send_all(
        self,
        calls: Iterable[Call],
        on_reply: OnReply,
        deadline: float,
        rate: float | None = None,
        retry: Retry | None = None,
    ) -> Iterator[Call]:
        """Send `calls`, report the last reply to each to `on_reply`, return those never started.

        A call is taken from `calls` only when it starts, at most `rate` a second including
        retries; starts that are up to 50 ms late are made up at once. Every started call is
        replied to by `deadline` (s of `time.monotonic`): none starts when less than `timeout` is
        left. `retry` takes a reply and the number of attempts so far, and returns the delay before
        the next attempt in seconds, or None to give up.

        `calls` and `on_reply` run in the caller's thread, one at a time. An exception from either
        is raised here, after the calls in flight have been replied to.

        A pooled connection that the API closed between two requests is reopened. A request that
        crosses with the close is sent again once, also a POST: in the rare case that the API
        had carried it out without answering, the client receives a message twice and drops the
        second one by its id.
        """
        from chalicelib.adapters.connections_api.dispatcher import Dispatcher
        from chalicelib.adapters.connections_api.pooled_connection import PooledConnection
        from chalicelib.adapters.connections_api.signing import Signer

        dispatcher = Dispatcher(
            calls=iter(calls),
            on_reply=on_reply,
            retry=retry,
            sign=Signer(self.endpoint, self.credentials).sign,
            connect=functools.partial(PooledConnection, self.endpoint, self.timeout),
            concurrency=self.concurrency,
            timeout=self.timeout,
            interval=1 / rate if rate else 0,
            stop=deadline - self.timeout,
        )
        return dispatcher.run()
