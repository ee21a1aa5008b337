"""The checks that need AWS, against stubbed answers: what passes, what fails, and why."""

from __future__ import annotations

import asyncio
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from accept.aws import Aws, verdict
from accept.checks import api, deployment, events, observing
from accept.definitions import Account, allowed
from accept.errors import FailedError, SkippedError, UndecidedError
from accept.run import Run
from accept.target import FUNCTIONS, Target
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from accept.target import Kind

REGION, ACCOUNT, API = "eu-west-1", "123456789012", "abc123"
NAMES = {name: f"incident-websocket-dev-{deployed}" for name, deployed in FUNCTIONS.items()}
CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
VARIABLES = CONFIG["stages"]["dev"]["environment_variables"]
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:IncidentNotifications-dev"


def arn(function: str) -> str:
    """Return the ARN of a function of the stage."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAMES[function]}"


def right_function(function: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration of a function as the project has it."""
    short = FUNCTIONS[function]
    own = CONFIG["stages"]["dev"]["lambda_functions"][short]
    return {
        "FunctionArn": arn(function),
        "Role": f"arn:aws:iam::{ACCOUNT}:role/{short}",
        "State": "Active",
        "MemorySize": own.get("lambda_memory_size", CONFIG["lambda_memory_size"]),
        "Timeout": own.get("lambda_timeout", CONFIG["lambda_timeout"]),
        "Architectures": [CONFIG["lambda_architecture"]],
        "Environment": {"Variables": variables},
    }


class Stage:
    """A stage whose AWS answers what a test says."""

    def __init__(self, kind: Kind = "stack") -> None:
        target = Target(
            kind=kind,
            stage="dev",
            url=f"wss://{API}.execute-api.{REGION}.amazonaws.com/dev",
            connections_api=f"https://{API}.execute-api.{REGION}.amazonaws.com/dev",
            functions=NAMES,
            table="IncidentWebSocketConnections-dev",
            topic_arn=TOPIC,
            project=ROOT,
            settings=VARIABLES,
            api_id=API,
        )
        self.run = Run(target, Aws(boto3.Session(region_name=REGION), {}), 60)
        self._stubs: dict[str, Stubber] = {}

    def _stub(self, service: str) -> Stubber:
        if service not in self._stubs:
            self._stubs[service] = Stubber(self.run.aws.client(service))
            self._stubs[service].activate()
        return self._stubs[service]

    def answers(self, service: str, operation: str, answer: Any, **expected: Any) -> None:
        """Answer the service's next call."""
        self._stub(service).add_response(operation, answer, expected or None)

    def refuses(self, service: str, operation: str, code: str) -> None:
        """Answer the service's next call with an error."""
        self._stub(service).add_client_error(operation, code, f"{code} of {operation}")

    def knows(self, function: str, **different: Any) -> None:
        """Know a function's configuration without a call."""
        self.run.read[NAMES[function]] = right_function(function, VARIABLES) | different

    def check(self, check: Callable[[Run], Any]) -> str:
        """Make a check and return what it saw."""
        return str(asyncio.run(check(self.run)))


@pytest.fixture
def stage() -> Stage:
    """Return a stage of a stack."""
    return Stage()


def test_functions_configured_as_the_project_says_pass(stage: Stage) -> None:
    """Seven functions are looked at."""
    for function in FUNCTIONS:
        stage.knows(function)

    assert stage.check(deployment.functions) == "8 functions"


@pytest.mark.parametrize(
    ("different", "shown"),
    [
        ({"State": "Inactive"}, "{'State': 'Inactive'}"),
        ({"Timeout": 3}, "{'Timeout': 3}"),
        ({"Environment": {"Variables": {**VARIABLES, "TTL_HOURS": "1"}}}, "{'TTL_HOURS': '1'}"),
    ],
)
def test_a_function_that_differs_is_named(
    stage: Stage, different: dict[str, Any], shown: str
) -> None:
    """The result says which function and which of its settings."""
    for function in FUNCTIONS:
        stage.knows(function, **(different if function == "close" else {}))

    with pytest.raises(FailedError) as failed:
        stage.check(deployment.functions)
    assert failed.value.seen == f"{{'close': {shown}}}"


def simulated(permitted: Callable[[str, str], bool]) -> Callable[..., Any]:
    """Return a simulation by IAM that allows an action on a resource as `permitted` says."""

    async def call(service: str, operation: str, **request: Any) -> Any:
        assert (service, operation) == ("iam", "simulate_principal_policy")
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": "allowed"
                    if permitted(role(request), f"{action} {resource}")
                    else "implicitDeny",
                }
                for action in request["ActionNames"]
                for resource in request["ResourceArns"]
            ]
        }

    return call


def role(request: dict[str, Any]) -> str:
    """Return the function whose role a simulation is about."""
    short = request["PolicySourceArn"].rpartition("/")[2]
    return next(name for name, deployed in FUNCTIONS.items() if deployed == short)


@functools.cache
def permitted_to(function: str) -> set[tuple[str, str]]:
    """Return what a function's policy file allows."""
    return allowed(Stage().run.target, function, Account(arn("connect"), API))


def as_in_its_file(function: str, permission: str) -> bool:
    """Decide as a function's policy file does."""
    action, _, resource = permission.partition(" ")
    return (action, resource) in permitted_to(function)


@pytest.mark.parametrize(
    ("decides", "shown"),
    [
        (as_in_its_file, None),
        (
            lambda name, permission: (
                as_in_its_file(name, permission)
                or (name == "message" and permission.startswith("dynamodb:PutItem "))
            ),
            "dynamodb:PutItem on arn:aws:dynamodb:eu-west-1:123456789012:table/"
            "IncidentWebSocketConnections-dev is allowed",
        ),
        (
            lambda name, permission: (
                as_in_its_file(name, permission) and not permission.startswith("sqs:")
            ),
            "sqs:SendMessage on arn:aws:sqs:eu-west-1:123456789012:"
            "IncidentNotificationsFailed-dev is denied",
        ),
        (lambda *_: True, "table/another is allowed"),
    ],
    ids=["as in the files", "too much", "too little", "everything"],
)
def test_policies_allow_what_their_files_allow_and_no_more(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    decides: Callable[[str, str], bool],
    shown: str | None,
) -> None:
    """Each permission of any function is simulated for every function."""
    for function in FUNCTIONS:
        stage.knows(function)
    monkeypatch.setattr(stage.run.aws, "call", simulated(decides))

    if shown is None:
        assert stage.check(deployment.policies).endswith("of 8 functions")
        return
    with pytest.raises(FailedError) as failed:
        stage.check(deployment.policies)
    assert shown in failed.value.seen


def test_a_simulation_that_leaves_something_out_decides_nothing(stage: Stage) -> None:
    """IAM answers for one resource only."""
    for function in FUNCTIONS:
        stage.knows(function)
    answer = {"EvalActionName": "sns:Publish", "EvalDecision": "allowed"}
    stage.answers("iam", "simulate_principal_policy", {"EvaluationResults": [answer]})

    with pytest.raises(UndecidedError):
        stage.check(deployment.policies)


RIGHT_TABLE = {
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "GlobalSecondaryIndexes": [{"IndexName": "ByClient", "IndexStatus": "ACTIVE"}],
    "SSEDescription": {"Status": "ENABLED"},
}


@pytest.mark.parametrize(
    ("table", "ttl", "recovery", "seen"),
    [
        ({}, {"AttributeName": "ttl"}, "ENABLED", None),
        ({"GlobalSecondaryIndexes": []}, {"AttributeName": "ttl"}, "ENABLED", "{'indexes': {}}"),
        ({}, {"TimeToLiveStatus": "DISABLED"}, "ENABLED", "{'ttl': None}"),
        ({}, {"AttributeName": "ttl"}, "DISABLED", "{'recovery': 'DISABLED'}"),
        (
            {"SSEDescription": {"Status": "DISABLED"}},
            {"AttributeName": "ttl"},
            "ENABLED",
            "{'encryption': 'DISABLED'}",
        ),
    ],
)
def test_a_table_without_one_of_its_settings_fails(
    stage: Stage, table: dict[str, Any], ttl: dict[str, Any], recovery: str, seen: str | None
) -> None:
    """The result says which one."""
    backups = {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": recovery},
    }
    stage.answers("dynamodb", "describe_table", {"Table": {**RIGHT_TABLE, **table}})
    stage.answers("dynamodb", "describe_time_to_live", {"TimeToLiveDescription": ttl})
    answer = {"ContinuousBackupsDescription": backups}
    stage.answers("dynamodb", "describe_continuous_backups", answer)

    if seen is None:
        assert stage.check(deployment.table) == "IncidentWebSocketConnections-dev"
        return
    with pytest.raises(FailedError) as failed:
        stage.check(deployment.table)
    assert failed.value.seen == seen


def served(*keys: str) -> dict[str, Any]:
    """Return the routes of an API."""
    return {"Items": [{"RouteKey": key, "RouteId": key[1:]} for key in keys]}


ALL_ROUTES = served("$connect", "$disconnect", "$default")


@pytest.mark.parametrize(
    ("routes", "status", "seen"),
    [
        (ALL_ROUTES, "DEPLOYED", None),
        (served("$connect", "$disconnect"), "DEPLOYED", "['$connect', '$disconnect']"),
        (ALL_ROUTES, "FAILED", "FAILED"),
    ],
)
def test_a_stage_serves_three_routes(
    stage: Stage, routes: dict[str, Any], status: str, seen: str | None
) -> None:
    """It serves them from a deployment that succeeded."""
    answer = {"StageName": "dev", "DeploymentId": "d1"}
    stage.answers("apigatewayv2", "get_stage", answer, ApiId=API, StageName="dev")
    stage.answers("apigatewayv2", "get_routes", routes)
    if routes is ALL_ROUTES:
        stage.answers("apigatewayv2", "get_deployment", {"DeploymentStatus": status})

    if seen is None:
        assert stage.check(api.routes) == "3 routes, deployment d1"
        return
    with pytest.raises(FailedError) as failed:
        stage.check(api.routes)
    assert failed.value.seen == seen


@pytest.mark.parametrize("items", [[], [{"RouteResponseKey": "$default"}]])
def test_the_default_route_has_a_route_response(stage: Stage, items: list[Any]) -> None:
    """Answers reach the client through it."""
    stage.answers("apigatewayv2", "get_routes", ALL_ROUTES)
    stage.answers(
        "apigatewayv2", "get_route_responses", {"Items": items}, ApiId=API, RouteId="default"
    )

    if items:
        assert stage.check(api.route_response) == "$default"
        return
    with pytest.raises(FailedError):
        stage.check(api.route_response)


RIGHT_STAGE = {
    "StageName": "dev",
    "DefaultRouteSettings": {"ThrottlingRateLimit": 50.0, "ThrottlingBurstLimit": 100},
    "AccessLogSettings": {"DestinationArn": "arn:aws:logs:eu-west-1:1:log-group:/aws/x"},
}


@pytest.mark.parametrize(
    ("check", "passes"), [(api.throttling, "50 requests/s, burst 100"), (api.access_log, "/aws/x")]
)
def test_a_stage_is_throttled_and_logs_requests(
    stage: Stage, check: Callable[[Run], Any], passes: str
) -> None:
    """A stage without settings has neither."""
    stage.run.read["stage"] = RIGHT_STAGE
    assert stage.check(check) == passes

    stage.run.read["stage"] = {"StageName": "dev"}
    with pytest.raises(FailedError):
        stage.check(check)


@pytest.mark.parametrize(
    "check",
    [
        api.throttling,
        api.access_log,
        events.redrive,
        events.failure_queue,
        observing.alarms,
        observing.dashboard,
    ],
)
def test_what_chalice_does_not_make_is_skipped(check: Callable[[Run], Any]) -> None:
    """No call is made."""
    with pytest.raises(SkippedError, match="chalice deploy"):
        Stage("chalice").check(check)


@pytest.mark.parametrize("endpoints", [[arn("notify")], [], [arn("notify"), arn("sweep")]])
def test_notify_is_the_only_subscriber(stage: Stage, endpoints: list[str]) -> None:
    """Another one would receive what is meant for clients."""
    stage.knows("notify")
    subscriptions = [{"Protocol": "lambda", "Endpoint": endpoint} for endpoint in endpoints]
    stage.answers(
        "sns", "list_subscriptions_by_topic", {"Subscriptions": subscriptions}, TopicArn=TOPIC
    )

    if len(endpoints) == 1:
        assert stage.check(events.subscription) == "1 subscription"
        return
    with pytest.raises(FailedError):
        stage.check(events.subscription)


@pytest.mark.parametrize("queue", [f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed", ""])
def test_the_topic_keeps_what_lambda_did_not_take(
    stage: Stage, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The subscription has the policy that the resources file sets."""
    monkeypatch.setattr(events, "redrives", lambda _target: True)
    answer = {"Subscriptions": [{"SubscriptionArn": "subscription"}]}
    stage.answers("sns", "list_subscriptions_by_topic", answer)
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue})} if queue else {}
    stage.answers("sns", "get_subscription_attributes", {"Attributes": policy})

    if queue:
        assert stage.check(events.redrive) == queue
        return
    with pytest.raises(FailedError):
        stage.check(events.redrive)


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ([("ENABLED", "rate(5 minutes)")], True),
        ([("DISABLED", "rate(5 minutes)")], False),
        ([("ENABLED", "rate(1 hour)")], False),
        ([], False),
    ],
)
def test_a_rule_runs_the_sweep(stage: Stage, rules: list[tuple[str, str]], passes: bool) -> None:
    """A rule that somebody disabled is found."""
    stage.knows("sweep")
    answer = {"RuleNames": [f"rule{n}" for n in range(len(rules))]}
    stage.answers("events", "list_rule_names_by_target", answer, TargetArn=arn("sweep"))
    for state, expression in rules:
        rule = {"State": state, "ScheduleExpression": expression}
        stage.answers("events", "describe_rule", rule, Name=ANY)

    if passes:
        assert stage.check(events.schedule) == "rate(5 minutes)"
        return
    with pytest.raises(FailedError):
        stage.check(events.schedule)


@pytest.mark.parametrize("queue", ["IncidentNotificationsFailed-dev", "", "another"])
def test_failed_notifications_go_to_the_queue(stage: Stage, queue: str) -> None:
    """Without a destination they would be lost."""
    stage.answers("sqs", "get_queue_url", {"QueueUrl": "https://queue"})
    destination = {"Destination": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"} if queue else {}
    answer = {"DestinationConfig": {"OnFailure": destination}}
    stage.answers("lambda", "get_function_event_invoke_config", answer)

    if queue.startswith("Incident"):
        assert stage.check(events.failure_queue) == "https://queue"
        return
    with pytest.raises(FailedError):
        stage.check(events.failure_queue)


@pytest.mark.parametrize(
    ("sources", "passes"),
    [
        ([("IncidentUnclaimed-dev", "Enabled", 1)], True),
        ([], False),
        ([("IncidentUnclaimed-dev", "Disabled", 1)], False),
        ([("IncidentUnclaimed-dev", "Enabled", 10)], False),
        ([("another", "Enabled", 1)], False),
    ],
)
def test_unclaimed_reads_its_queue(
    stage: Stage, sources: list[tuple[str, str, int]], *, passes: bool
) -> None:
    """Otherwise nobody learns that nobody is home."""
    mappings = [
        {
            "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
            "State": state,
            "BatchSize": size,
        }
        for queue, state, size in sources
    ]
    stage.answers("lambda", "list_event_source_mappings", {"EventSourceMappings": mappings})

    if passes:
        assert stage.check(events.unclaimed_queue) == "IncidentUnclaimed-dev"
        return
    with pytest.raises(FailedError):
        stage.check(events.unclaimed_queue)


@pytest.mark.parametrize(
    ("days", "seen"), [({}, None), ({"sweep": 0}, "sweep': None"), ({"sweep": 90}, "sweep': 90")]
)
def test_log_groups_keep_their_lines_for_two_weeks(
    stage: Stage, days: dict[str, int], seen: str | None
) -> None:
    """A group without retention keeps them for ever."""
    groups = [
        {"logGroupName": f"/aws/lambda/{name}"}
        | ({"retentionInDays": kept} if (kept := days.get(function, 14)) else {})
        for function, name in NAMES.items()
    ]
    stage.answers("logs", "describe_log_groups", {"logGroups": groups})

    if seen is None:
        assert stage.check(observing.log_groups) == "8 groups, 14 days"
        return
    with pytest.raises(FailedError) as failed:
        stage.check(observing.log_groups)
    assert seen in failed.value.seen


def alarm_names() -> list[str]:
    """Return the names of the alarms of the resources file."""
    template = json.loads(Path(ROOT / ".chalice" / "resources.json").read_text())
    return [
        resource["Properties"]["AlarmName"]["Fn::Sub"].replace("${Stage}", "dev")
        for resource in template["Resources"].values()
        if resource.get("Type") == "AWS::CloudWatch::Alarm"
    ]


@pytest.mark.parametrize(
    ("leave_out", "state", "problem"),
    [(0, "OK", None), (1, "OK", "are missing"), (0, "ALARM", "-dev-")],
)
def test_alarms_exist_and_do_not_ring(
    stage: Stage, leave_out: int, state: str, problem: str | None
) -> None:
    """They come on two pages; the first alarm has the state."""
    names = alarm_names()[leave_out:]
    states = [state, *["INSUFFICIENT_DATA"] * len(names)]
    alarms = [
        {"AlarmName": name, "StateValue": each} for name, each in zip(names, states, strict=False)
    ]
    first = {"MetricAlarms": alarms[:5], "NextToken": "more"}
    stage.answers("cloudwatch", "describe_alarms", first)
    stage.answers("cloudwatch", "describe_alarms", {"MetricAlarms": alarms[5:]})

    if problem is None:
        assert stage.check(observing.alarms) == f"{len(names)} alarms, none in ALARM"
        return
    with pytest.raises(FailedError) as failed:
        stage.check(observing.alarms)
    assert problem in failed.value.seen


def test_metrics_are_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch shows them late."""
    monkeypatch.setattr(observing, "METRICS_S", 5.0)
    stage.run.clients["first"] = None  # type: ignore[assignment] # it is only counted
    stage.answers("cloudwatch", "get_metric_statistics", {"Datapoints": []})
    stage.answers("cloudwatch", "get_metric_statistics", {"Datapoints": [{"Sum": 2.0}]})

    assert stage.check(observing.metrics) == "Opened 2"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDeniedException", UndecidedError), ("ResourceNotFoundException", FailedError)],
)
def test_without_permission_the_result_is_unknown(
    stage: Stage, code: str, kind: type[Exception]
) -> None:
    """A thing that is missing fails; a thing that may not be looked at is unknown."""
    stage.refuses("cloudwatch", "get_dashboard", code)

    with pytest.raises(stage.run.aws.client("cloudwatch").exceptions.ClientError) as error:
        stage.check(observing.dashboard)
    assert type(verdict(error.value)) is kind


def test_no_more_calls_are_made_than_allowed() -> None:
    """The rest of the checks is unknown."""
    aws = Aws(boto3.Session(region_name=REGION), {}, max_calls=0)

    with pytest.raises(UndecidedError, match="0 calls"):
        asyncio.run(aws.call("sns", "list_topics"))
    assert aws.calls == 0
