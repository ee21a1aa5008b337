"""What the resources file adds to the API that Chalice creates: route responses, an authorizer.

Chalice merges the file into its own CloudFormation template, in which the routes have the logical
ids below.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ROUTES = {
    "WebsocketConnectRoute": "$connect",
    "WebsocketMessageRoute": "$default",
    "WebsocketDisconnectRoute": "$disconnect",
}
_log = logging.getLogger(__name__)

_FUNCTION = re.compile(r"\$\{(\w+)\.Arn\}|\$\{(\w+)\}")


@dataclass(frozen=True)
class AuthorizerDefinition:
    """A REQUEST authorizer of `$connect`; `function` is its function's logical id.

    `identity_sources` are expressions like `route.request.header.Authorization`.
    """

    function: str
    identity_sources: tuple[str, ...]


@dataclass(frozen=True)
class ApiTemplate:
    """The keys of routes with a route response, and the authorizer of `$connect`, if any."""

    route_responses: frozenset[str] = frozenset()
    authorizer: AuthorizerDefinition | None = None


def read_template(path: Path) -> ApiTemplate:
    """Return what a resources file adds; nothing if there is no file or no template in it.

    A value of another form than CloudFormation's is logged, and nothing is added.
    """
    try:
        resources = json.loads(path.read_text(encoding="utf-8")).get("Resources", {})
    except (AttributeError, OSError, RecursionError, ValueError):
        return ApiTemplate()  # what creates the tables reports it
    try:
        return ApiTemplate(frozenset(_route_responses(resources)), _authorizer(resources))
    except (AttributeError, LookupError, TypeError) as error:
        _log.warning("no route responses and no authorizer: cannot use %s: %s", path, error)
        return ApiTemplate()


def _route_responses(resources: Mapping[str, Any]) -> Iterator[str]:
    for resource in resources.values():
        if resource.get("Type") == "AWS::ApiGatewayV2::RouteResponse":
            route = _reference(resource.get("Properties", {}).get("RouteId"))
            properties = resources.get(route, {}).get("Properties", {})
            # Without this expression, API Gateway uses no route response.
            if properties.get("RouteResponseSelectionExpression") == "$default":
                yield properties.get("RouteKey") or _ROUTES.get(route, route)


def _authorizer(resources: Mapping[str, Any]) -> AuthorizerDefinition | None:
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        key = properties.get("RouteKey") or _ROUTES.get(name)
        if key == "$connect" and properties.get("AuthorizationType") == "CUSTOM":
            authorizer = resources.get(_reference(properties.get("AuthorizerId")), {})
            given = authorizer.get("Properties", {})
            match = _FUNCTION.search(_uri(given.get("AuthorizerUri")))
            if match:
                sources = given.get("IdentitySource", ())
                return AuthorizerDefinition(match[1] or match[2], tuple(sources))
    return None


def _uri(value: object) -> str:
    # It is Fn::Sub of arn:…:functions/${Function.Arn}/invocations.
    text = value.get("Fn::Sub", "") if isinstance(value, dict) else ""
    # "AWS::Region" and its like have colons, so the expression of the function does not match them.
    return text if isinstance(text, str) else str(text[0])


def _reference(value: object) -> str:
    return str(value.get("Ref", "")) if isinstance(value, dict) else ""
