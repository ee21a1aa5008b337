"""The policy file of each function, compared with the calls that the function makes.

The tests record the calls of a function and evaluate them against its policy with moto's IAM
evaluator. One test checks the evaluator itself on this kind of policy.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import botocore.handlers
import pytest
from botocore.exceptions import ReadTimeoutError
from chalice.local import LambdaContext
from chalice.test import Client
from moto import mock_aws
from moto.iam.access_control import IAMPolicy, PermissionResult

import app
from chalicelib.adapters.connections_api.calls import Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.token_keys import Verifier
from chalicelib.domain.connection import Connection
from chalicelib.domain.rows import to_item
from chalicelib.domain.subjects import Identity
from chalicelib.domain.unclaimed import Queued, Waiting
from chalicelib.history import History
from provision import buses, queues, tables
from provision.template import load_buses, load_queues, load_tables
from tests.deployment.conftest import ROOT, STAGES
from tests.support.connections import NO_DEADLINE
from tests.support.events import CONNECTION_ID, connect_event, disconnect_event
from tests.support.notifications import sns_event
from tests.support.sqs import sqs_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from botocore.model import OperationModel

    from chalicelib.adapters.connections_api import calls as calls_api

    Policy = Mapping[str, Any]

CHALICE = ROOT / ".chalice"
CONFIG = json.loads((CHALICE / "config.json").read_text())
OTHER_STAGE = {"dev": "prod", "prod": "dev"}
PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
REGION, ACCOUNT = "eu-west-1", "123456789012"
NOW_MS = time.time_ns() // 1_000_000
MINUTE_MS = 60_000
METHODS = ("GET", "POST", "DELETE")
METHOD = re.compile(rf"/({'|'.join(METHODS)})/@connections/")
# Actions whose resources differ in more than the stage.
SHARED_ACTIONS = ("execute-api:ManageConnections", "lambda:InvokeFunction")
# Permissions that are not named after the operation.
PERMISSIONS = {"Invoke": "lambda:InvokeFunction"}


@dataclass(frozen=True)
class Call:
    """An action on a resource: the permission that a call needs."""

    action: str
    resource: str


@dataclass(frozen=True)
class Invocation:
    """An event for a function of the application, and the function's remaining time in ms.

    With `is_authenticated`, clients need tokens: any token is `ada`'s.
    """

    function: str
    event: Mapping[str, Any]
    ms: int = 60_000
    is_authenticated: bool = False


@dataclass(frozen=True)
class Scenario:
    """Invocations that together make every call of which a function is capable.

    `ages` are the connections of the client `ada` in the table, with their ages in ms. For those in
    `gone`, API Gateway answers 410. `in_time` is the number of `@connections` requests before an
    invocation runs out of time. The answers to DeleteItem are lost if `lost`.
    A notification for all and one for `ada` are in the history if `is_recorded`.
    """

    invocations: tuple[Invocation, ...]
    ages: Mapping[str, int] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    in_time: int | None = None
    lost: bool = False
    is_recorded: bool = False


def connect_of(client_id: str) -> dict[str, Any]:
    """Return the `$connect` event of a client with this id, whose handshake is new."""
    event = connect_event()
    del event["requestContext"]["connectedAt"]
    return {**event, "multiValueQueryStringParameters": {"clientId": [client_id]}}


def message_event(body: str) -> dict[str, Any]:
    """Return the event of a client's message."""
    event = connect_event()
    event["requestContext"] |= {"routeKey": "$default", "eventType": "MESSAGE", "messageId": "m="}
    return {**event, "body": body}


UNCLAIMED = Queued("id", 1, None, "hello", False, (Waiting("ada", 5, False),))
# The settings add a limit of one connection per client, and an event bus.
SCENARIOS = {
    "websocket_connect": Scenario(
        (Invocation("connect", connect_of("ada")),),
        ages={"live=": 3 * MINUTE_MS, "gone=": 5 * MINUTE_MS},
        gone=("gone=",),
    ),
    "websocket_disconnect": Scenario(
        (Invocation("disconnect", disconnect_event()),),
        ages={CONNECTION_ID: MINUTE_MS},
        lost=True,
    ),
    # Clients: one has missed a notification, one has missed none, one pings, one renews its token.
    "websocket_message": Scenario(
        (
            Invocation(
                "message",
                message_event(
                    '{"action": "recover", "after": {"all": 0, "own": {"seq": 0, "of": "ada"}}}'
                ),
            ),
            Invocation("message", message_event('{"action": "ping", "heads": true}')),
            Invocation(
                "message",
                message_event('{"action": "authenticate", "token": "any"}'),
                is_authenticated=True,
            ),
        ),
        ages={CONNECTION_ID: MINUTE_MS},
        is_recorded=True,
    ),
    # The first serves one connection and continues in a new invocation; the second reads the index.
    "notify": Scenario(
        (
            Invocation("notify", sns_event()),
            Invocation("notify", sns_event(clientId=("String", "ada"))),
            Invocation("notify", sns_event(clientId=("String", "nobody"))),
        ),
        ages={"first=": 3 * MINUTE_MS, "next=": 5 * MINUTE_MS},
        gone=("first=", "next="),
        in_time=1,
        lost=True,
    ),
    "unclaimed": Scenario((Invocation("unclaimed", sqs_event(UNCLAIMED.to_text())),)),
    "connections": Scenario(
        (
            Invocation("connections", {}),
            Invocation("connections", {"clientId": "ada"}),
            Invocation("connections", {"connectionId": "live="}),
            Invocation("connections", {"clientIds": ["ada"], "look": True}),
        ),
        ages={"live=": MINUTE_MS},
    ),
    "close": Scenario(
        (Invocation("close", {"connectionId": "live="}), Invocation("close", {"clientId": "ada"})),
        ages={"live=": MINUTE_MS, "gone=": 3 * MINUTE_MS},
        gone=("gone=",),
    ),
    "sweep": Scenario(
        (
            Invocation("sweep", {"dryRun": True}),
            Invocation("sweep", {}, ms=9_500),
            Invocation("sweep", {}),
        ),
        ages={"old=": 200 * MINUTE_MS, "gone=": 5 * MINUTE_MS, "first=": 9_000, "next=": 8_000},
        gone=("gone=",),
    ),
}
FUNCTIONS = [(stage, function) for stage in STAGES for function in SCENARIOS]


def policy_of(stage: str, function: str) -> Policy:
    """Return the policy that config.json assigns to the function."""
    settings = CONFIG["stages"][stage]["lambda_functions"][function]
    assert settings["autogen_policy"] is False
    policy: Policy = json.loads((CHALICE / settings["iam_policy_file"]).read_text())
    return policy


def allows(policy: Policy, call: Call) -> bool:
    """Return whether the policy allows the call."""
    evaluator = IAMPolicy({"policy_document": json.dumps(policy)})
    result = evaluator.is_action_permitted(call.action, call.resource)
    return result is PermissionResult.PERMITTED


def grants(policy: Policy) -> Iterator[Call]:
    """Split the policy into grants of one action on one resource pattern, without the logs."""
    for statement in policy["Statement"]:
        named = statement["Resource"]
        for resource in [named] if isinstance(named, str) else named:
            for action in statement["Action"]:
                if not action.startswith("logs:"):
                    yield Call(action, resource)


def unused(policy: Policy, calls: Iterable[Call]) -> list[Call]:
    """List the grants that no call needs."""
    made = set(calls)
    return [
        grant for grant in grants(policy) if not any(allows(only(grant), call) for call in made)
    ]


def only(grant: Call) -> Policy:
    """Return a policy with one grant."""
    statement = {"Effect": "Allow", "Action": [grant.action], "Resource": grant.resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def table_arn(stage: str) -> str:
    """Return the ARN of a stage's table."""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/IncidentWebSocketConnections-{stage}"


def log_arn(function: str, partition: str = "aws") -> str:
    """Return the ARN of a function's log group as the logging actions use it."""
    group = f"/aws/lambda/{function}"
    return f"arn:{partition}:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:"


def record(calls: list[Call], params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    """Record a call of any botocore client. Fail for a service that this does not know yet."""
    service = model.service_model.signing_name
    match service:
        case "dynamodb" if model.name == "TransactWriteItems":
            puts = [item["Put"]["TableName"] for item in params["TransactItems"]]
            for table in dict.fromkeys(puts):
                arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
                calls.append(Call("dynamodb:PutItem", arn))  # the permission of each Put
            return
        case "dynamodb" if model.name == "BatchGetItem":
            resources = [f"table/{table}" for table in params["RequestItems"]]
        case "dynamodb":
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            resources = [f"table/{params['TableName']}{index}"]
        case "sqs":
            resources = [params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]]
        case "lambda":
            resources = [f"function:{params['FunctionName']}"]
        case "events":
            resources = [f"event-bus/{entry['EventBusName']}" for entry in params["Entries"]]
        case _:
            pytest.fail(f"say which resource a call of {service} acts on")
    for resource in resources:
        arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"
        calls.append(Call(PERMISSIONS.get(model.name, f"{service}:{model.name}"), arn))


def accept(**_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
    """Answer an asynchronous invocation like Lambda, with 202."""
    return SimpleNamespace(status_code=202), {"StatusCode": 202}


def on_failure(stage: str, function: str) -> list[Call]:
    """Return the call that Lambda makes with the function's role to dead-letter an event.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    resources = json.loads((CHALICE / "resources.json").read_text())["Resources"]
    calls = []
    for resource in resources.values():
        config = resource.get("Properties", {})
        if "DestinationConfig" in config:
            queue, _ = config["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"]
            name = resources[queue]["Properties"]["QueueName"]["Fn::Sub"].replace("${Stage}", stage)
            if config["FunctionName"] == {"Ref": function.capitalize()}:
                calls.append(Call("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"))
    return calls


def on_messages(stage: str, function: str) -> list[Call]:
    """Return the calls that Lambda makes with the function's role to read its queue.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    if function != "unclaimed":
        return []
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:IncidentUnclaimed-{stage}"
    names = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    return [Call(f"sqs:{name}", arn) for name in names]


def record_connections(calls: list[Call], scenario: Scenario) -> Any:
    """Return a `send_all` that records the requests and answers like API Gateway.

    That a request has this method and this path on the wire is what tests/chalicelib shows.
    """
    done = {"GET": 200, "POST": 200, "DELETE": 204}

    def send_all(
        self: ConnectionsApiClient,
        requests: Iterable[calls_api.Call],
        on_reply: calls_api.OnReply,
        *_: Any,
        **__: Any,
    ) -> Iterator[calls_api.Call]:
        endpoint = self.endpoint
        api = f"arn:aws:execute-api:{endpoint.region}:{ACCOUNT}:{endpoint.host.partition('.')[0]}"
        left = iter(requests)
        for request in itertools.islice(left, scenario.in_time):
            path = f"{endpoint.prefix}/{request.method}/@connections/{request.connection_id}"
            calls.append(Call("execute-api:ManageConnections", api + path))
            status = 410 if request.connection_id in scenario.gone else done[request.method]
            on_reply(request, Reply(status, "", 0.0))
        return left

    return send_all


def provide(stage: str, ages: Mapping[str, int]) -> None:
    """Create the stage's tables, bus and queues, and the rows of the connections."""
    parameters = {"Stage": stage}
    client = boto3.client("dynamodb")
    for definition in load_tables(CHALICE / "resources.json", parameters):
        tables.ensure(client, definition)
    for bus in load_buses(CHALICE / "resources.json", parameters):
        buses.ensure(boto3.client("events"), bus)
    queues.ensure_all(boto3.client("sqs"), load_queues(CHALICE / "resources.json", parameters))
    for connection_id, age in ages.items():
        connection = Connection(
            connection_id=connection_id,
            created_at=NOW_MS - age,
            ttl=NOW_MS // 1000 + 86_400,
            client_id="ada",
            region=REGION,
            api_id="abcdef1234",
            stage=stage,
        )
        client.put_item(TableName=f"IncidentWebSocketConnections-{stage}", Item=to_item(connection))


def context_of(name: str, ms: int) -> Callable[..., LambdaContext]:
    """Return a maker of contexts with the function's name in AWS and its remaining time.

    Chalice's client uses the Python name, and 3 s whatever the timeout.
    """

    def context(_: str, **settings: Any) -> LambdaContext:
        return LambdaContext(name, max_runtime_ms=ms, **settings)

    return context


def lose(**_: object) -> None:
    """Lose an answer."""
    raise ReadTimeoutError(endpoint_url="https://dynamodb")


def calls_of(stage: str, function: str, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Invoke the function as the stage configures it and return every AWS call that it makes."""
    scenario = SCENARIOS[function]
    calls = [*on_failure(stage, function), *on_messages(stage, function)]
    monkeypatch.setenv("EVENT_BUS", f"IncidentWebSocket-{stage}")
    monkeypatch.setenv("MAX_CONNECTIONS_PER_CLIENT", "1")
    monkeypatch.setenv("RECOVER_OWN", "always")
    monkeypatch.setenv("UNCLAIMED_QUEUE", f"IncidentUnclaimed-{stage}")
    with mock_aws():
        provide(stage, scenario.ages)
        if scenario.is_recorded:
            table = f"IncidentWebSocketHistory-{stage}"
            history = History(boto3.client("dynamodb"), table, NO_DEADLINE)
            for stream in ("all", "c#ada"):
                history.append(stream, "id", '{"type":"notification"}', 3600)
        # botocore registers these with every session, so also with the application's.
        hooks: list[Any] = [
            ("before-parameter-build", functools.partial(record, calls)),
            ("before-call.lambda.Invoke", accept),
        ]
        if scenario.lost:
            hooks.append(("after-call.dynamodb.DeleteItem", lose))
        handlers = [*botocore.handlers.BUILTIN_HANDLERS, *hooks]
        monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
        monkeypatch.setattr(ConnectionsApiClient, "send_all", record_connections(calls, scenario))
        for invocation in scenario.invocations:
            context = context_of(f"incident-websocket-{stage}-{function}", invocation.ms)
            monkeypatch.setattr("chalice.test.LambdaContext", context)
            if invocation.is_authenticated:
                monkeypatch.setenv("AUTH_ISSUER", "https://issuer.example.com")
                monkeypatch.setenv("AUTH_AUDIENCE", "any")
                monkeypatch.setattr(Verifier, "identity", lambda *_: Identity("ada", 2**31))
            with Client(app.app, stage_name=stage, project_dir=str(ROOT)) as client:
                event = dict(invocation.event)
                answer = client.lambda_.invoke(invocation.function, event).payload
            assert answer.get("statusCode", 200) == 200, answer
            assert "error" not in answer, answer
    return calls


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:1:table/Rows", True),
        ("dynamodb:PutItem", "arn:aws-cn:dynamodb:cn-north-1:1:table/Rows", True),
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:1:table/Rows2", False),
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:1:table/MyRows", False),
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:1:table/Rows/index/x", False),
        ("dynamodb:PutItem", "arn:aws:s3:eu-west-1:1:table/Rows", False),
        ("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:1:table/Rows", False),
        ("dynamodb:PutItemAnd", "arn:aws:dynamodb:eu-west-1:1:table/Rows", False),
    ],
)
def test_the_evaluator_distinguishes_actions_and_resources(
    action: str, resource: str, *, allowed: bool
) -> None:
    """The other tests rely on it, for all partitions."""
    statement = {
        "Effect": "Allow",
        "Action": ["dynamodb:PutItem"],
        "Resource": "arn:*:dynamodb:*:*:table/Rows",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    assert allows(policy, Call(action, resource)) is allowed


def test_every_configured_function_has_a_scenario() -> None:
    """Adding a function without one fails here."""
    for stage in STAGES:
        assert CONFIG["stages"][stage]["lambda_functions"].keys() == SCENARIOS.keys()


@pytest.mark.parametrize(("stage", "function"), FUNCTIONS)
def test_a_function_may_make_its_own_calls_and_no_others(
    stage: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy allows each call, in each partition and this stage only, and no grant is idle."""
    policy = policy_of(stage, function)

    calls = set(calls_of(stage, function, monkeypatch))

    assert unused(policy, calls) == []
    for partition in PARTITIONS:
        there = [Call(c.action, c.resource.replace("arn:aws:", f"arn:{partition}:")) for c in calls]
        assert [call for call in there if not allows(policy, call)] == []
    elsewhere = [Call(call.action, in_other_stage(stage, call.resource)) for call in calls]
    assert [call for call in elsewhere if allows(policy, call)] == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("function", ["websocket_connect", "notify", "close", "sweep"])
def test_a_function_reaches_nothing_next_to_what_it_uses(
    stage: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not another method of `@connections`, nor another function of its own stage."""
    policy = policy_of(stage, function)
    calls = calls_of(stage, function, monkeypatch)

    allowed = {kind(call) for call in neighbours(stage, calls) if allows(policy, call)}

    assert allowed == {kind(call) for call in calls if call.action in SHARED_ACTIONS}
    assert allowed


def kind(call: Call) -> Call:
    """Return the call without its connection id."""
    return Call(call.action, call.resource.partition("/@connections/")[0])


def neighbours(stage: str, calls: Iterable[Call]) -> Iterator[Call]:
    """Return the calls with each method of `@connections`, or with each function of the stage."""
    for call in calls:
        if call.action == "execute-api:ManageConnections":
            for method in METHODS:
                yield Call(call.action, METHOD.sub(f"/{method}/@connections/", call.resource))
        elif call.action == "lambda:InvokeFunction":
            functions, _, _ = call.resource.rpartition(":")
            for function in SCENARIOS:
                yield Call(call.action, f"{functions}:incident-websocket-{stage}-{function}")


def in_other_stage(stage: str, resource: str) -> str:
    """Return the same resource of the other stage."""
    other = OTHER_STAGE[stage]
    moved = resource.replace(f"-{stage}", f"-{other}").replace(f"/{stage}/", f"/{other}/")
    assert moved != resource
    return moved


def test_an_unused_grant_is_detected() -> None:
    """The check above also finds a grant that differs in the method only."""
    policy = policy_of("dev", "sweep")
    connection = "arn:aws:execute-api:eu-west-1:1:abcdef1234/dev/GET/@connections/x="
    probe = Call("execute-api:ManageConnections", connection)

    left = unused(policy, [probe, Call("dynamodb:Scan", table_arn("dev"))])

    assert "dynamodb:Scan" not in {grant.action for grant in left}
    assert [grant.resource for grant in left if grant.action == probe.action] == [
        f"arn:*:execute-api:*:*:*/dev/{method}/@connections/*" for method in ("DELETE", "POST")
    ]


@pytest.mark.parametrize(("stage", "function"), FUNCTIONS)
def test_a_function_writes_to_its_own_log_only(stage: str, function: str) -> None:
    """Two actions reach one log group, in every partition.

    A function that could create its group would do so while its stack is being deleted, and the
    next deployment would fail because the group exists.
    """
    policy = policy_of(stage, function)
    own = f"incident-websocket-{stage}-{function}"
    others = {f"incident-websocket-{s}-{f}" for s, f in FUNCTIONS} - {own} | {f"{own}2"}
    actions = ("logs:CreateLogStream", "logs:PutLogEvents")

    for action in actions:
        assert all(allows(policy, Call(action, log_arn(own, where))) for where in PARTITIONS)
        assert [other for other in others if allows(policy, Call(action, log_arn(other)))] == []
    for action in ("logs:CreateLogGroup", "logs:DeleteLogGroup"):
        assert not allows(policy, Call(action, log_arn(own)))


@pytest.mark.parametrize("function", SCENARIOS)
def test_the_policies_of_the_stages_differ_in_the_stage_only(function: str) -> None:
    """So a test on dev holds for prod."""
    dev = json.dumps(policy_of("dev", function))
    renamed = dev.replace("-dev", "-prod").replace("/dev/", "/prod/")
    assert renamed == json.dumps(policy_of("prod", function))
