"""The settings of an API that the resources file and the command line make, not Chalice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from localgateway.api_gateway.authorizers import Authorizer
from localgateway.api_gateway.template import ApiTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.lambda_runtime.functions import Function


@dataclass
class ApiSettings:
    """Route responses, the authorizer, and the limit of handshakes a second.

    `functions` are by logical id and `template` may change when the project does.
    """

    region: str
    functions: Mapping[str, Function]
    route_responses: Literal["template", "all", "none"] = "template"
    connect_rate: float | None = None
    template: ApiTemplate = field(default_factory=ApiTemplate)

    def has_route_response(self, route: str) -> bool:
        """Return whether what the route's function returns is sent to the client."""
        if self.route_responses == "template":
            return route in self.template.route_responses
        return self.route_responses == "all"

    def authorizer(self) -> Authorizer | None:
        """Return the authorizer of `$connect`, or None."""
        definition = self.template.authorizer
        if definition is None:
            return None
        function = self.functions.get(definition.function)
        return Authorizer(function, definition.identity_sources, self.region)
