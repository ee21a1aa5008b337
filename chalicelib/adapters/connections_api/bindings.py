"""Calls of AWS's C runtime without the futures and objects that awscrt makes for each of them.

They are a third of a post's CPU. The functions of `_awscrt` are not public: awscrt is pinned, and
the tests compare each signature with botocore's and each answer with what was sent.
"""

from __future__ import annotations

from typing import Any, Protocol

import _awscrt  # type: ignore[import-not-found] # has no types
from awscrt import exceptions  # type: ignore[import-untyped] # same


class Exchange(Protocol):
    """Takes the answer to a request.

    The runtime calls the three methods by these names, on its own thread, and keeps its half of the
    exchange in `_binding`.
    """

    _binding: Any

    def _on_response(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Take the status and the headers of the answer."""

    def _on_body(self, chunk: bytes) -> None:
        """Take a part of the body of the answer."""

    def _on_complete(self, code: int) -> None:
        """Take the end of the exchange: 0, or the runtime's number of an error."""


def start(exchange: Exchange, connection: Any, message: Any) -> None:
    """Send a request. Raises `RuntimeError` or `AwsCrtError`, also for a closing connection."""
    exchange._binding = _awscrt.http_client_stream_new(exchange, connection, message, False)
    _awscrt.http_client_stream_activate(exchange)


def sign(message: Any, config: Any) -> None:
    """Sign a request with static credentials, in this thread. Raises `AwsCrtError`."""
    codes: list[int] = []
    _awscrt.sign_request_aws(message, config, codes.append)
    if codes[0]:
        raise error_of(codes[0])


def error_of(code: int) -> Exception:
    """Return the error that has one of the runtime's numbers."""
    error: Exception = exceptions.from_code(code)
    return error
