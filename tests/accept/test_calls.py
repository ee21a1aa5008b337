"""How many calls a whole run makes on AWS: as many as it may, or the last checks are unknown."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from accept.__main__ import METRICS_SECONDS
from accept.aws import MAX_CALLS, Aws
from accept.checking import check_all
from accept.checks import observing
from accept.definitions import Account, allowed
from accept.plan import CHECKS
from accept.polling import FIRST_PAUSE_S
from accept.results import Status
from accept.rows import MAX_PAGES
from accept.run import Run
from accept.target import FUNCTIONS, stage_config
from accept.targets import local_gateway
from tests.accept.test_aws_checks import (
    ALL_ROUTES,
    RIGHT_STAGE,
    RIGHT_TABLE,
    alarm_names,
    arn,
    right_function,
    role,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from accept.target import Target
    from tests.support.gateway import Gateway

pytestmark = pytest.mark.proof

API = "local00000"  # the local gateway's


class Answered:
    """A client of a service; operations that `answers` has do not reach the service."""

    def __init__(self, client: Any, answers: dict[str, Callable[..., Any]]) -> None:
        self._client = client
        self._answers = answers

    def __getattr__(self, operation: str) -> Any:
        """Return the operation."""
        return self._answers.get(operation) or getattr(self._client, operation)


class AwsOfAStack(Aws):
    """The local gateway's AWS, which knows the configuration of a stack, too.

    Its table is as large as a run can read.
    """

    def __init__(self, local: Aws, target: Target) -> None:
        super().__init__(local._session, local._endpoints)
        self._target = target
        self._looks = itertools.count(1)

    def client(self, service: str) -> Any:
        """Return a client with the answers of a stack in which all is well."""
        client = super().client(service)
        if service == "dynamodb":
            return Answered(client, {"scan": self._scan(client.scan), **self._constant()})
        return Answered(client, {**self._functions(), **self._constant()})

    def _scan(self, scan: Callable[..., Any]) -> Callable[..., Any]:
        def page(**parameters: Any) -> Any:
            start = parameters.pop("ExclusiveStartKey", {"connectionId": {"S": "1"}})
            number = int(start["connectionId"]["S"])
            if number == MAX_PAGES:
                return scan(**parameters)
            return {"Items": [], "LastEvaluatedKey": {"connectionId": {"S": str(number + 1)}}}

        return page

    def _functions(self) -> dict[str, Callable[..., Any]]:
        variables = stage_config(self._target.project, "dev")["environment_variables"]

        def configuration(**request: Any) -> Any:
            short = request["FunctionName"].removeprefix("incident-websocket-dev-")
            name = next(name for name, deployed in FUNCTIONS.items() if deployed == short)
            return right_function(name, variables)

        def simulation(**request: Any) -> Any:
            account = Account(arn("connect"), API)
            permitted = allowed(self._target, role(request), account)
            results = [
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": "allowed"
                    if (action, resource) in permitted
                    else "implicitDeny",
                }
                for action in request["ActionNames"]
                for resource in request["ResourceArns"]
            ]
            return {"EvaluationResults": results}

        def statistics(**_: Any) -> Any:
            is_last = next(self._looks) == looks(observing.METRICS_S)
            return {"Datapoints": [{"Sum": 1000.0}] if is_last else []}

        return {
            "get_function_configuration": configuration,
            "simulate_principal_policy": simulation,
            "get_metric_statistics": statistics,
        }

    def _constant(self) -> dict[str, Callable[..., Any]]:
        queue = "arn:aws:sqs:eu-west-1:123456789012:IncidentNotificationsFailed-dev"
        subscription = {
            "Protocol": "lambda",
            "Endpoint": arn("notify"),
            "SubscriptionArn": "subscription",
        }
        mapping = {
            "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:IncidentUnclaimed-dev",
            "State": "Enabled",
            "BatchSize": 1,
        }
        backups = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
        groups = [
            {"logGroupName": f"/aws/lambda/{name}", "retentionInDays": 14}
            for name in self._target.functions.values()
        ]
        alarms = [{"AlarmName": name, "StateValue": "OK"} for name in alarm_names()]
        answers: dict[str, Any] = {
            "get_stage": {**RIGHT_STAGE, "AutoDeploy": True},
            "get_routes": ALL_ROUTES,
            "get_route_responses": {"Items": [{"RouteResponseKey": "$default"}]},
            "describe_table": {"Table": RIGHT_TABLE},
            "describe_time_to_live": {"TimeToLiveDescription": {"AttributeName": "ttl"}},
            "describe_continuous_backups": {"ContinuousBackupsDescription": backups},
            "list_subscriptions_by_topic": {"Subscriptions": [subscription]},
            "get_subscription_attributes": {
                "Attributes": {"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue})}
            },
            "get_queue_url": {"QueueUrl": "https://queue"},
            "get_function_event_invoke_config": {
                "DestinationConfig": {"OnFailure": {"Destination": queue}}
            },
            "list_event_source_mappings": {"EventSourceMappings": [mapping]},
            "list_rule_names_by_target": {"RuleNames": ["rule"]},
            "describe_rule": {"State": "ENABLED", "ScheduleExpression": "rate(5 minutes)"},
            "describe_log_groups": {"logGroups": groups},
            "describe_alarms": {"MetricAlarms": alarms},
            "get_dashboard": {"DashboardName": "incident-websocket-dev"},
        }
        return {name: lambda _answer=answer, **_: _answer for name, answer in answers.items()}


def looks(seconds: float) -> int:
    """Return how often `until` looks within this time: its pauses double."""
    number, waited, pause = 1, 0.0, FIRST_PAUSE_S
    while waited + pause <= seconds:
        number, waited, pause = number + 1, waited + pause, pause * 2
    return number


async def hurried(
    look: Callable[[], Awaitable[Any]], right: Callable[[Any], bool], seconds: float
) -> tuple[Any, bool]:
    """Look as often as `until` does, without its pauses."""
    seen = None
    for _ in range(looks(seconds)):
        seen = await look()
    return seen, right(seen)


def test_a_whole_run_against_a_stack_has_calls_to_spare(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the table is as large as it may be, and the metric comes at the last look."""
    monkeypatch.setattr(observing, "until", hurried)
    found, local = local_gateway.find(gateway.lambda_endpoint)
    target = dataclasses.replace(found, kind="stack", api_id=API)
    aws = AwsOfAStack(local, target)
    calls: dict[str, int] = {}

    results = asyncio.run(
        check_all(
            CHECKS,
            Run(target, aws, METRICS_SECONDS),
            asked={"--metrics"},
            show=lambda result: calls.update({result.name: aws.calls}),
        )
    )

    assert {each.name: each.detail for each in results if each.status is Status.UNKNOWN} == {}
    assert {each.name: each.detail for each in results if each.status is Status.FAILED} == {}
    skipped = {each.name for each in results if each.status is Status.SKIPPED}
    assert skipped == {"refused-token", "notify-all", "tls", "idle"}
    # AWS is slower: some rows have to be looked for more often than here.
    assert calls["metrics"] <= MAX_CALLS - 15
