"""API Gateway's `@connections` API: the only module that asks anything of it.

Requests are signed and carried by AWS's C runtime (`chalicelib.lanes`), at a fifteenth of what
a boto3 call costs in CPU (bench/fanout). It is imported when the first request is made, so that
a function that makes none does not pay for it.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from botocore.credentials import Credentials

    OnReply = Callable[["Call", "Reply"], None]
    Retry = Callable[["Reply", int], float | None]

PORTS = {"http": 80, "https": 443}

# The default policy: tries are over after 11 s at most, so one client whose buffer stays full
# does not hold a run to the end of its time.
MAX_TRIES = 8
FIRST_DELAY = 0.1  # s
MAX_DELAY = 5.0  # s


@dataclass(frozen=True)
class Endpoint:
    """Where the `@connections` of one API stage are; `prefix` is the path before them."""

    scheme: str
    host: str
    port: int
    prefix: str
    region: str

    @classmethod
    def of(cls, api_id: str, region: str, stage: str, url: str | None = None) -> Endpoint:
        """Give the endpoint of a stage, or that of `url` when there is one.

        `url` is what botocore accepts as `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`, stage
        included: `http://127.0.0.1:8765/dev`. Raises `ValueError` when it is no such address.
        """
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        address = url or f"https://{api_id}.execute-api.{region}.{domain}/{stage}"
        parts = urlsplit(address)
        if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
            accepted = "http:// or https://, a host, perhaps a port and a path"
            raise ValueError(f"endpoint is {address!r}; accepted is {accepted}")
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), region)

    @property
    def authority(self) -> str:
        """The Host header: the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The whole address, by which one API is told from another."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def path(self, connection_id: str) -> str:
        """Give the path of one connection; ids end in `=`, which is encoded."""
        return f"{self.prefix}/@connections/{quote(connection_id, safe='')}"


@dataclass(frozen=True)
class Call:
    """One request: GET looks at a connection, POST sends `body` to it, DELETE closes it."""

    method: Literal["GET", "POST", "DELETE"]
    connection_id: str
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What came of one try of a call.

    `status` is None when no answer came, and `error` tells why; for a status of 400 or more
    `error` is what the API said. `seconds` are those of this try, connecting included. `sent` is
    False when the API cannot have seen the request, because no connection could be opened.
    """

    status: int | None
    error: str
    seconds: float
    sent: bool = True


def backoff(
    reply: Reply, tries: int, spread: Callable[[float, float], float] = random.uniform
) -> float | None:
    """Give the seconds to wait before a call is tried again, or None when it is to be left.

    What passes is tried again: 429, 5xx, and a connection that could not be opened, after an
    exponential delay with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). No answer to a
    request that was sent is not: the client may have the message.
    """
    passing = not reply.sent if reply.status is None else reply.status == 429 or reply.status >= 500
    if not passing or tries >= MAX_TRIES:
        return None
    return spread(0, min(MAX_DELAY, FIRST_DELAY * 2 ** (tries - 1)))


@dataclass(frozen=True)
class Management:
    """The `@connections` of one API stage.

    `concurrency` is the number of requests in flight, each on a keep-alive connection of its
    own; `timeout` (s) is what one request may take, connecting included. `credentials` are
    botocore's, which renew themselves.
    """

    endpoint: Endpoint
    credentials: Credentials
    concurrency: int = 32
    timeout: float = 3.0

    def carry_out(
        self,
        calls: Iterable[Call],
        on_reply: OnReply,
        deadline: float,
        rate: float | None = None,
        retry: Retry | None = None,
    ) -> Iterator[Call]:
        """Make `calls`, tell `on_reply` the last reply to each, and give the calls not begun.

        A call is taken from `calls` only when it is begun, at most `rate` a second, tries
        again included. Every call that was begun is replied to by `deadline` (s of
        `time.monotonic`): none begins when less than `timeout` is left. `retry` is given a reply
        and the number of tries so far, and gives the seconds to the next try, or None.

        `calls` and `on_reply` run in the caller's thread, one at a time. What either raises is
        raised here, after the calls in flight have been replied to.

        A connection that the API has closed between two requests is opened anew. A request that
        crossed with the closing is sent again, once, also a POST: in the rare case that the API
        had carried it out and not answered, the client receives a message twice and drops one
        by its id.
        """
        from chalicelib.dispatch import Dispatch
        from chalicelib.lanes import Lane, Signer

        dispatch = Dispatch(
            calls=iter(calls),
            on_reply=on_reply,
            retry=retry,
            sign=Signer(self.endpoint, self.credentials).sign,
            open_lane=functools.partial(Lane, self.endpoint, self.timeout),
            concurrency=self.concurrency,
            timeout=self.timeout,
            interval=1 / rate if rate else 0,
            stop=deadline - self.timeout,
        )
        return dispatch.run()
