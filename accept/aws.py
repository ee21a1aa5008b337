"""Calls to AWS, counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from accept.errors import FailedError, UndecidedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

_CONFIG = Config(
    connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2}
)
# The time (s) for the start of a function, which is not part of its own; Lambda allows it 10 s.
START_S = 15
_REFUSED = ("AccessDenied", "UnauthorizedOperation", "AuthorizationError", "not authorized")
MAX_CALLS = 120


class Aws:
    """Clients of AWS. `endpoints` are the addresses of services by name; `calls` counts calls.

    An answer of Lambda may take as long as a function may run: `longest_s`.
    """

    def __init__(
        self,
        session: boto3.Session,
        endpoints: Mapping[str, str],
        max_calls: int = MAX_CALLS,
        longest_s: int = 60,
    ) -> None:
        self._session = session
        self._endpoints = endpoints
        # A retry would run the function twice.
        self._once = Config(
            connect_timeout=5, read_timeout=longest_s + START_S, retries={"total_max_attempts": 1}
        )
        self._clients: dict[str, Any] = {}
        self.max_calls = max_calls
        self.calls = 0

    @property
    def region(self) -> str:
        """Return the region of every call."""
        return str(self._session.region_name)

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._clients:
            make: Any = self._session.client
            config = self._once if service == "lambda" else _CONFIG
            endpoint = self._endpoints.get(service)
            self._clients[service] = make(service, endpoint_url=endpoint, config=config)
        return self._clients[service]

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Call an operation and return its answer. Raise botocore's errors.

        Raise `UndecidedError` without a call once the run has made all the calls it may make.
        """
        if self.calls >= self.max_calls:
            raise UndecidedError(f"not made: the run has made its {self.max_calls} calls")
        self.calls += 1
        return await asyncio.to_thread(getattr(self.client(service), operation), **parameters)


def code_of(error: ClientError) -> str:
    """Return the error code of an answer."""
    return str(error.response.get("Error", {}).get("Code", ""))


def verdict(error: BotoCoreError | ClientError) -> FailedError | UndecidedError:
    """Return what an error of a call says of the check that made it.

    Without the permission to look, the result is unknown.
    """
    if isinstance(error, ClientError) and not any(text in str(error) for text in _REFUSED):
        return FailedError("an answer of AWS", str(error), "the service that the message names")
    return UndecidedError(str(error))
