"""The CloudFormation stack, deployed by the real AWS CLI to an AWS on this machine.

ministack lacks some of what the template needs. `REFUSED` says what is taken out of a copy of the
packaged template, and a test keeps that list from growing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import ministack
from tests.support.acceptance import accept
from tests.support.ministack import DIFFERENCES, MANAGEMENT, use_here

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.deployment.conftest import Project
    from tests.support.acceptance import Accepted
    from tests.support.ministack import Ministack

pytestmark = pytest.mark.proof

STAGE = "dev"
STACK = "incident-websocket-dev"
BUCKET = "packages"
TABLE = "IncidentWebSocketConnections-dev"
# What ministack 1.5.33 refuses, by its own messages, and how often the template has it.
REFUSED = {
    "AWS::ApiGatewayV2::Deployment": 1,
    "AWS::ApiGatewayV2::RouteResponse": 1,
    "AWS::CloudWatch::Alarm with Metrics": 10,
    "AWS::Logs::QueryDefinition": 8,
}
# The checks that fail without these, and those that pass in no deployment.
NOT_HERE = {
    **DIFFERENCES,
    "route-response": "AWS::ApiGatewayV2::RouteResponse is taken out",
    "alarms": "alarms on metric math are taken out",
    "throttling": "a stage of a stack does not keep its throttling",
    "table": "an index of a stack's table has no status",
}
PATIENCE_S = 120


@dataclass(frozen=True)
class History:
    """What happened to the stack: its status after each step, and what was seen between them."""

    taken_out: Mapping[str, int]
    created: Mapping[str, Any]
    accepted: Accepted
    updated: Mapping[str, Any]
    code: tuple[str, str]
    deleted: Mapping[str, list[str]]
    failed: str
    failed_tables: list[str]
    policy: str
    again: Mapping[str, Any]


@pytest.fixture(scope="module")
def history(project: Project, aws: Ministack) -> History:
    """Create the stack, check it, update it and delete it; fail to create it; create it again."""
    use_here(project.folder)
    where = {"LocationConstraint": ministack.REGION}
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    packaged, taken_out = package(project, aws)
    assert deploy(packaged, aws) == 0
    created = described(aws)
    url = f"ws://{aws.stage(created['WebsocketAPIId'], STAGE)}"
    accepted = accept(
        f"--stack={STACK}",
        f"--project={project.folder}",
        f"--url={url}",
        environment=aws.environment,
        skip=NOT_HERE,
    )
    before = code_of(aws)
    app = project.folder / "app.py"
    app.write_text(app.read_text() + "# changed\n")
    packaged, _ = package(project, aws)
    assert deploy(packaged, aws) == 0
    updated, after = described(aws), code_of(aws)
    delete(aws)
    deleted = left(aws)
    aws.client("dynamodb").delete_table(TableName=TABLE)

    failing = packaged.with_name("failing.json")
    template = json.loads(packaged.read_text())
    template["Resources"]["Refused"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {"Metrics": [{"Id": "math", "Expression": "1"}]},
        "DependsOn": ["ConnectionsTable", "Notify"],
    }
    failing.write_text(json.dumps(template))
    assert deploy(failing, aws) != 0
    failed, failed_tables = status(aws), tables(aws)
    delete(aws)
    for name in failed_tables:
        aws.client("dynamodb").delete_table(TableName=name)
    assert deploy(packaged, aws) == 0
    return History(
        taken_out=taken_out,
        created=created,
        accepted=accepted,
        updated=updated,
        code=(before, after),
        deleted=deleted,
        failed=failed,
        failed_tables=failed_tables,
        policy=template["Resources"]["ConnectionsTable"]["DeletionPolicy"],
        again=described(aws),
    )


def package(project: Project, aws: Ministack) -> tuple[Path, Mapping[str, int]]:
    """Package the stage and upload it; return the template and what was taken out of it."""
    folder = project.package(STAGE)
    template = json.loads((folder / "sam.json").read_text())
    taken_out = take_out(template, aws)
    (folder / "sam.json").write_text(json.dumps(template))
    packaged = folder / "packaged.json"
    upload = ("--template-file", "sam.json", "--s3-bucket", BUCKET, "--use-json")
    result = ("--output-template-file", str(packaged))
    assert cli(aws, "cloudformation", "package", *upload, *result, folder=folder) == 0
    return packaged, taken_out


def take_out(template: dict[str, Any], aws: Ministack) -> Mapping[str, int]:
    """Take what ministack refuses out of a template, and point the functions at ministack."""
    resources = template["Resources"]
    refused = {name: kind for name, each in resources.items() if (kind := kind_of(each)) in REFUSED}
    for name in refused:
        del resources[name]
    for resource in resources.values():
        if wanted := resource.get("DependsOn"):
            names = [wanted] if isinstance(wanted, str) else wanted
            resource["DependsOn"] = [name for name in names if name not in refused]
        if resource["Type"] == "AWS::Serverless::Function":
            address = f"http://{aws.stage('${WebsocketAPI}', STAGE)}"
            resource["Properties"]["Environment"]["Variables"][MANAGEMENT] = {"Fn::Sub": address}
    return Counter(refused.values())


def kind_of(resource: Mapping[str, Any]) -> str:
    """Return a resource's type, as in `REFUSED`."""
    return f"{resource['Type']}{' with Metrics' if 'Metrics' in resource['Properties'] else ''}"


def deploy(packaged: Path, aws: Ministack) -> int:
    """Deploy a packaged template as documented, and return the exit status."""
    return cli(
        aws,
        *("cloudformation", "deploy", "--template-file", packaged.name, "--s3-bucket", BUCKET),
        *("--stack-name", STACK, "--parameter-overrides", f"Stage={STAGE}"),
        *("--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"),
        folder=packaged.parent,
    )


def delete(aws: Ministack) -> None:
    """Delete the stack and wait until it is gone."""
    assert cli(aws, "cloudformation", "delete-stack", "--stack-name", STACK) == 0
    waiter = aws.client("cloudformation").get_waiter("stack_delete_complete")
    waiter.wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE_S})


def cli(aws: Ministack, *words: str, folder: Path | None = None) -> int:
    """Run the AWS CLI and return its exit status."""
    finished = subprocess.run(
        [ministack.program("aws"), *words],
        cwd=folder,
        env={**os.environ, **aws.environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    sys.stdout.write(finished.stdout)
    sys.stderr.write(finished.stderr)
    return finished.returncode


def described(aws: Ministack) -> dict[str, Any]:
    """Return the stack's status and outputs."""
    [stack] = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
    return {"StackStatus": stack["StackStatus"], **outputs}


def status(aws: Ministack) -> str:
    """Return the stack's status."""
    return str(described(aws)["StackStatus"])


def code_of(aws: Ministack) -> str:
    """Return the hash of the code of `connect`."""
    function = "incident-websocket-dev-websocket_connect"
    found = aws.client("lambda").get_function_configuration(FunctionName=function)
    return str(found["CodeSha256"])


def tables(aws: Ministack) -> list[str]:
    """Return the names of the tables."""
    return list(aws.client("dynamodb").list_tables()["TableNames"])


def left(aws: Ministack) -> dict[str, list[str]]:
    """Return what there is of the stack."""
    return {
        "tables": tables(aws),
        "functions": [
            f["FunctionName"] for f in aws.client("lambda").list_functions()["Functions"]
        ],
        "apis": [api["Name"] for api in aws.client("apigatewayv2").get_apis()["Items"]],
        "topics": [t["TopicArn"] for t in aws.client("sns").list_topics()["Topics"]],
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
    }


def test_what_is_taken_out_is_exactly_what_is_listed(history: History) -> None:
    """Everything else of the template is accepted by an AWS that nobody here wrote."""
    assert history.taken_out == REFUSED


def test_the_stack_is_created_with_its_outputs(history: History) -> None:
    """The outputs name what people need."""
    assert history.created["StackStatus"] == "CREATE_COMPLETE"
    assert history.created["ConnectionsTableName"] == TABLE
    assert history.created["EventBusName"] == "IncidentWebSocket-dev"
    assert history.created["NotificationsTopicArn"].endswith(":IncidentNotifications-dev")
    assert history.created["FailedNotificationsUrl"].endswith("/IncidentNotificationsFailed-dev")
    assert history.created["WebsocketConnectEndpointURL"].startswith("wss://")


def test_clients_connect_to_the_stack(history: History) -> None:
    """Every check passes, except those that the emulator cannot pass."""
    accepted = history.accepted

    assert accepted.having("failed") == accepted.having("unknown") == {}
    assert accepted.status == 0
    assert accepted.having("passed").keys() >= {
        *("handshake", "row", "ttl", "ping", "connections", "notify-some", "kick", "disconnect"),
        *("sweep-dry-run", "routes", "functions", "subscription", "schedule", "failure-queue"),
        *("log-groups", "access-log", "dashboard", "cleanup"),
    }


def test_an_update_changes_the_code_and_nothing_else(history: History) -> None:
    """The API keeps its id, so clients keep their address."""
    before, after = history.code

    assert history.updated == {**history.created, "StackStatus": "UPDATE_COMPLETE"}
    assert before != after


def test_a_deleted_stack_leaves_the_table_only(history: History) -> None:
    """The table has the connections, which stay open."""
    assert history.deleted == {
        "tables": [TABLE],
        "functions": [],
        "apis": [],
        "topics": [],
        "queues": [],
    }


def test_a_failed_creation_is_rolled_back(history: History) -> None:
    """A stack in ROLLBACK_COMPLETE can only be deleted; its table stays if the template says so."""
    kept = {"Retain": [TABLE], "RetainExceptOnCreate": []}

    assert history.failed == "ROLLBACK_COMPLETE"
    assert history.failed_tables == kept[history.policy]


def test_the_stack_can_be_created_again(history: History) -> None:
    """Nothing of the earlier stacks stands in its way."""
    assert history.again["StackStatus"] == "CREATE_COMPLETE"
