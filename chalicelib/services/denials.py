"""Explains a run in which API Gateway denied every request to `@connections`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.variables import MANAGEMENT_ENDPOINT

if TYPE_CHECKING:
    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.settings import Settings
    from chalicelib.telemetry.logs import Log


@dataclass
class Denials:
    """Counts the replies of `@connections`, and those among them that deny the request."""

    replies: int = 0
    denied: int = 0

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        self.replies += 1
        self.denied += reply.status == 403

    def report(self, config: Settings, log: Log) -> None:
        """Log the likely reasons if every reply was 403.

        A single 403 may be a policy on one API. When all requests are denied, nothing works:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-disable-default-endpoint.html
        """
        if not self.replies or self.denied < self.replies:
            return
        seen = repr(config.management_endpoint) if config.management_endpoint else "not set"
        log.error(
            "every @connections request was denied",
            requests=self.replies,
            status=403,
            error=f"{MANAGEMENT_ENDPOINT.name} is {seen}; expected https://DOMAIN/MAPPING of the"
            " custom domain if the API's default endpoint is disabled. Otherwise the function's"
            " role lacks execute-api:ManageConnections for this API and stage",
        )
