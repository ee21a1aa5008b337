"""Lambda authorizers of `$connect`: identity sources, event, policy and context.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
API Gateway caches their results for HTTP APIs only.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from localgateway.api_gateway.quotas import INTEGRATION_TIMEOUT
from localgateway.api_gateway.responses import Refused
from localgateway.lambda_runtime.outcomes import Failed, Returned, cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.api_gateway.event_types import ConnectEvent
    from localgateway.lambda_runtime.functions import Function
    from localgateway.lambda_runtime.outcomes import Outcome

_ACTION = "execute-api:Invoke"
_ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Authorizer:
    """The authorizer of an API in `region`; without its function, it refuses every handshake."""

    function: Function | None
    identity_sources: tuple[str, ...]
    region: str

    async def authorize(self, event: ConnectEvent) -> dict[str, Any] | Refused:
        """Return the `authorizer` of the request context, or the refusal of the handshake."""
        if not all(_present(source, event) for source in self.identity_sources):
            return Refused(HTTPStatus.UNAUTHORIZED, "an identity source is missing")
        if self.function is None:
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the authorizer's function is missing")
        context = event["requestContext"]
        arn = (
            f"arn:aws:execute-api:{self.region}:{_ACCOUNT}:"
            f"{context['apiId']}/{context['stage']}/$connect"
        )
        request = {"type": "REQUEST", "methodArn": arn, "stageVariables": {}, **event}
        return decide(await self.function.invoke(request, INTEGRATION_TIMEOUT), arn)


def decide(outcome: Outcome, arn: str) -> dict[str, Any] | Refused:
    """Return the `authorizer` of the request context, or the refusal, from what it returned."""
    if isinstance(outcome, Failed) and (outcome.error or {}).get("errorMessage") == "Unauthorized":
        return Refused(HTTPStatus.UNAUTHORIZED, "the authorizer raised Unauthorized")
    if not isinstance(outcome, Returned):
        return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"authorizer: {cause(outcome)}")
    answer = outcome.payload
    problem = _problem(answer)
    if problem:
        return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"authorizer: {problem}")
    if not allows(answer["policyDocument"], arn):
        return Refused(HTTPStatus.FORBIDDEN, "the authorizer's policy does not allow it")
    context: dict[str, Any] = answer.get("context") or {}
    return {**context, "principalId": answer["principalId"]}


def allows(policy: Mapping[str, Any], arn: str) -> bool:
    """Return whether a policy allows invoking a route: a Deny outweighs every Allow."""
    effects = {
        statement.get("Effect")
        for statement in _list(policy.get("Statement"))
        if _matches(statement.get("Action"), _ACTION) and _matches(statement.get("Resource"), arn)
    }
    return "Allow" in effects and "Deny" not in effects


def _problem(answer: object) -> str | None:
    if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
        return f"the response has no principalId: {answer!r}"
    if not isinstance(answer.get("policyDocument"), dict):
        return f"the response has no policyDocument: {answer!r}"
    context = answer.get("context") or {}
    if not isinstance(context, dict) or any(isinstance(v, dict | list) for v in context.values()):
        return f"context is {context!r}; expected strings, numbers and booleans"
    return None


def _present(source: str, event: ConnectEvent) -> bool:
    kind, _, name = source.removeprefix("route.request.").partition(".")
    if kind == "header":
        # Names of headers have no case.
        return any(value for key, value in event["headers"].items() if key.lower() == name.lower())
    if kind == "querystring":
        return bool(event.get("queryStringParameters", {}).get(name))
    return True  # stage variables and the context are the API's own


def _matches(patterns: object, text: str) -> bool:
    # In policies, * and ? are wildcards; brackets are not.
    return any(
        fnmatch.fnmatchcase(text, str(pattern).replace("[", "[[]")) for pattern in _list(patterns)
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []
