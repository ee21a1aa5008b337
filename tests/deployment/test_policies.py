"""What each function may do, against what it does.

The calls that a handler makes are recorded and evaluated against its own policy file by moto's
IAM evaluator, whose answers on this kind of policy are checked first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import botocore.handlers
import pytest
from chalice.test import Client
from moto import mock_aws
from moto.iam.access_control import IAMPolicy, PermissionResult

import app
from provision.tables import ensure
from provision.template import load_tables
from tests.deployment.conftest import ROOT, STAGES
from tests.events import connect_event, disconnect_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botocore.model import OperationModel

    Policy = Mapping[str, Any]

CHALICE = ROOT / ".chalice"
CONFIG = json.loads((CHALICE / "config.json").read_text())
OTHER_STAGE = {"dev": "prod", "prod": "dev"}

# The events that take each function through every call that it makes.
EVENTS = {
    "websocket_connect": [("connect", connect_event())],
    "websocket_disconnect": [("disconnect", disconnect_event())],
}
FUNCTIONS = [(stage, function) for stage in STAGES for function in EVENTS]


@dataclass(frozen=True)
class Call:
    """One permission that a call needs."""

    action: str
    resource: str


def policy_of(stage: str, function: str) -> Policy:
    """Read the policy file that config.json names for the function."""
    settings = CONFIG["stages"][stage]["lambda_functions"][function]
    assert settings["autogen_policy"] is False
    policy: Policy = json.loads((CHALICE / settings["iam_policy_file"]).read_text())
    return policy


def allows(policy: Policy, call: Call) -> bool:
    """Ask the evaluator."""
    evaluator = IAMPolicy({"policy_document": json.dumps(policy)})
    result = evaluator.is_action_permitted(call.action, call.resource)
    return result is PermissionResult.PERMITTED


def unused(policy: Policy, calls: Iterable[Call]) -> set[str]:
    """List the actions that the policy grants, those on logs aside, and no call needs."""
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    granted = {action for action in actions if not action.startswith("logs:")}
    return granted - {call.action for call in calls}


def table_arn(stage: str, partition: str = "aws", account: str = "123456789012") -> str:
    """Name a stage's table anywhere."""
    table = f"IncidentWebSocketConnections-{stage}"
    return f"arn:{partition}:dynamodb:eu-west-1:{account}:table/{table}"


def log_arn(function: str, partition: str = "aws") -> str:
    """Name a function's log group, as the three actions that write to it see it."""
    group = f"/aws/lambda/{function}"
    return f"arn:{partition}:logs:eu-west-1:123456789012:log-group:{group}:log-stream:"


def record(calls: list[Call], params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
    """Note a call of any botocore client; an unknown service must be taught here."""
    service = model.service_model.signing_name
    assert service == "dynamodb", f"say which resource a call of {service} acts on"
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{params['TableName']}"
    calls.append(Call(f"{service}:{model.name}", arn))


def calls_of(stage: str, function: str, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Invoke the function as the stage configures it, and record every AWS call that it makes."""
    calls: list[Call] = []
    with mock_aws():
        for definition in load_tables(CHALICE / "resources.json", {"Stage": stage}):
            ensure(boto3.client("dynamodb"), definition)
        # botocore registers these with each session, so the application's own is covered.
        hook = ("before-parameter-build", partial(record, calls))
        handlers = [*botocore.handlers.BUILTIN_HANDLERS, hook]
        monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
        with Client(app.app, stage_name=stage, project_dir=str(ROOT)) as client:
            for name, event in EVENTS[function]:
                answer = client.lambda_.invoke(name, event).payload
                assert answer["statusCode"] == 200, answer
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
def test_the_evaluator_tells_actions_and_resources_apart(
    action: str, resource: str, *, allowed: bool
) -> None:
    """The evaluator that the other tests trust answers as IAM does, partitions included."""
    statement = {
        "Effect": "Allow",
        "Action": ["dynamodb:PutItem"],
        "Resource": "arn:*:dynamodb:*:*:table/Rows",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    assert allows(policy, Call(action, resource)) is allowed


def test_every_configured_function_is_covered() -> None:
    """A function cannot be added to a stage without its calls being checked here."""
    for stage in STAGES:
        assert CONFIG["stages"][stage]["lambda_functions"].keys() == EVENTS.keys()


@pytest.mark.parametrize(("stage", "function"), FUNCTIONS)
def test_a_function_may_do_what_it_does_and_no_more(
    stage: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is allowed, every granted action is used, and no other stage is reached."""
    # GIVEN
    policy = policy_of(stage, function)

    # WHEN
    calls = calls_of(stage, function, monkeypatch)

    # THEN
    assert calls
    assert [call for call in calls if not allows(policy, call)] == []
    assert unused(policy, calls) == set()
    elsewhere = [Call(call.action, table_arn(OTHER_STAGE[stage])) for call in calls]
    assert [call for call in elsewhere if allows(policy, call)] == []


def test_an_unused_grant_is_found() -> None:
    """The check above fails for a policy that grants one action too many."""
    policy = policy_of("dev", "websocket_disconnect")
    assert unused(policy, []) == {"dynamodb:DeleteItem"}
    assert unused(policy, [Call("dynamodb:DeleteItem", table_arn("dev"))]) == set()


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
@pytest.mark.parametrize(("stage", "function"), FUNCTIONS)
def test_a_policy_holds_in_every_partition(stage: str, function: str, partition: str) -> None:
    """The same file serves AWS's commercial, Chinese and government regions."""
    policy = policy_of(stage, function)
    [action, *_] = policy["Statement"][0]["Action"]
    own = f"incident-websocket-{stage}-{function}"
    assert allows(policy, Call(action, table_arn(stage, partition, account="210987654321")))
    assert allows(policy, Call("logs:PutLogEvents", log_arn(own, partition)))


@pytest.mark.parametrize(("stage", "function"), FUNCTIONS)
def test_a_function_writes_its_own_log_and_no_other(stage: str, function: str) -> None:
    """The three actions that Lambda's logging needs reach one log group."""
    # GIVEN
    policy = policy_of(stage, function)
    own = f"incident-websocket-{stage}-{function}"
    others = {f"incident-websocket-{s}-{f}" for s, f in FUNCTIONS} - {own} | {f"{own}2"}
    actions = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")

    # THEN
    for action in actions:
        assert allows(policy, Call(action, log_arn(own)))
        assert [other for other in others if allows(policy, Call(action, log_arn(other)))] == []
    assert not allows(policy, Call("logs:DeleteLogGroup", log_arn(own)))


@pytest.mark.parametrize("function", EVENTS)
def test_the_stages_have_the_same_policies(function: str) -> None:
    """What was tried on dev is what prod gets: the files differ in the stage alone."""
    dev = json.dumps(policy_of("dev", function))
    assert dev.replace("-dev", "-prod") == json.dumps(policy_of("prod", function))
