"""`python -m provision.doctor`, in an in-process AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner

from provision.__main__ import main as provision
from provision.account_checks import Account, Finding, Result
from provision.doctor import diagnose, main

if TYPE_CHECKING:
    from collections.abc import Callable

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/api-gateway-logs"
STACK = "incident-websocket-dev"

pytestmark = pytest.mark.usefixtures("account")
# An answer of AWS: the service, the operation, and the response or the error.
Answer = tuple[str, str, "dict[str, Any] | Exception"]


def error(code: str) -> ClientError:
    """Return an error of AWS."""
    return ClientError({"Error": {"Code": code, "Message": ""}}, "Operation")


# An account in which everything is in order. moto has no answer of its own to some of these.
ANSWERS: tuple[Answer, ...] = (
    ("apigateway", "GetAccount", {"cloudwatchRoleArn": ROLE}),
    ("lambda", "GetAccountSettings", {"AccountLimit": {"ConcurrentExecutions": 1000}}),
    ("logs", "DescribeResourcePolicies", {"resourcePolicies": []}),
    ("s3", "HeadBucket", {"BucketRegion": REGION}),
)


class Session:
    """A boto3 session whose clients give the scripted answers."""

    def __init__(self, answers: tuple[Answer, ...], region: str | None = REGION) -> None:
        self.region_name = region
        self.answers = answers

    def client(self, service: str) -> Any:
        """Return a client of moto with the answers for this service put in."""
        make: Any = boto3.session.Session(region_name=REGION).client
        client = make(service)
        for name, operation, answer in self.answers:
            if name == service:
                event = f"before-call.{service}.{operation}"
                client.meta.events.register(event, self.replying(answer))
        return client

    @staticmethod
    def replying(answer: dict[str, Any] | Exception) -> Callable[..., Any]:
        """Return a handler that answers the call or fails it."""

        def reply(**_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return type("Response", (), {"status_code": 200}), answer

        return reply


def findings(*answers: Answer, region: str | None = REGION) -> dict[str, Finding]:
    """Diagnose the account in order, except for these answers."""
    replaced = {(service, operation) for service, operation, _ in answers}
    others = tuple(answer for answer in ANSWERS if answer[:2] not in replaced)
    session: Any = Session((*others, *answers), region)
    return dict(diagnose(Account(session, "dev", RESOURCES, "a-bucket")))


def test_an_account_in_order_passes_every_check() -> None:
    """Nothing is missing and no name is taken."""
    found = findings()

    assert {finding.result for finding in found.values()} == {Result.PASSED}
    assert found.keys() == {
        *("region", "credentials", "access log role", "bucket", "concurrency"),
        *("log policies", "stack", "names"),
    }


@pytest.mark.parametrize(
    ("answer", "check", "result", "detail"),
    [
        (("apigateway", "GetAccount", {}), "access log role", Result.FAILED, "cannot be created"),
        (("s3", "HeadBucket", error("404")), "bucket", Result.FAILED, "does not exist"),
        (
            ("s3", "HeadBucket", {"BucketRegion": "us-east-1"}),
            "bucket",
            Result.FAILED,
            "a-bucket is in us-east-1; expected a bucket in eu-central-1",
        ),
        (
            ("lambda", "GetAccountSettings", {"AccountLimit": {"ConcurrentExecutions": 10}}),
            "concurrency",
            Result.NOTED,
            "10 functions at once instead of 1000",
        ),
        (
            ("logs", "DescribeResourcePolicies", {"resourcePolicies": [{}] * 10}),
            "log policies",
            Result.NOTED,
            "10 of 10 resource policies",
        ),
        (
            (
                "cloudformation",
                "DescribeStacks",
                {"Stacks": [{"StackStatus": "ROLLBACK_COMPLETE"}]},
            ),
            "stack",
            Result.FAILED,
            "incident-websocket-dev is in ROLLBACK_COMPLETE, in which it can only be deleted",
        ),
        (
            ("cloudformation", "DescribeStacks", {"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]}),
            "stack",
            Result.PASSED,
            "incident-websocket-dev is in UPDATE_COMPLETE",
        ),
        *(
            (("cloudformation", "DescribeStacks", {"Stacks": [{"StackStatus": status}]}), *expected)
            for status, *expected in (
                ("UPDATE_ROLLBACK_FAILED", "stack", Result.FAILED, "rollback is complete"),
                ("UPDATE_IN_PROGRESS", "stack", Result.FAILED, "until it has ended"),
                ("REVIEW_IN_PROGRESS", "stack", Result.PASSED, "is in REVIEW_IN_PROGRESS"),
            )
        ),
        (
            ("lambda", "GetAccountSettings", error("AccessDeniedException")),
            "concurrency",
            Result.UNKNOWN,
            "AccessDeniedException",
        ),
        (
            ("sts", "GetCallerIdentity", NoCredentialsError()),
            "credentials",
            Result.FAILED,
            "Unable",
        ),
    ],
)
def test_a_check_finds_what_stands_in_the_way(
    answer: Answer, check: str, result: Result, detail: str
) -> None:
    """The other checks are not affected."""
    found = findings(answer)

    assert found[check].result is result
    assert detail in found[check].detail
    others = {f.result for name, f in found.items() if name != check}
    assert others == {Result.PASSED}


def test_without_a_region_nothing_else_is_checked() -> None:
    """Every other check would fail for the same reason."""
    found = findings(region=None)

    assert list(found) == ["region"]
    assert found["region"].commands == ("export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1",)


def test_names_of_an_earlier_deployment_are_listed() -> None:
    """A new stack would fail on them."""
    arguments = ["--stage", "dev", "--resources", str(RESOURCES), "--region", REGION]
    assert CliRunner().invoke(provision, arguments).exit_code == 0
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName="/aws/lambda/incident-websocket-dev-notify")
    logs.create_log_group(logGroupName="/aws/lambda/incident-websocket-prod-notify")

    found = findings()["names"]

    assert found.result is Result.NOTED
    assert found.detail.startswith(
        "taken: IncidentWebSocketConnections-dev, IncidentWebSocketHistory-dev, "
        "IncidentWebSocket-dev, IncidentNotificationsFailed-dev, IncidentUnclaimed-dev, "
        "IncidentNotifications-dev,"
        " log groups /aws/lambda/incident-websocket-dev-…."
    )


def test_the_command_lists_what_is_missing_and_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends with status 1, so that a pipeline stops."""
    answers = tuple(answer for answer in ANSWERS if answer[0] != "apigateway")
    missing: Answer = ("apigateway", "GetAccount", {})
    session = Session((*answers, missing))
    monkeypatch.setattr("provision.doctor.boto3.Session", lambda **_: session)

    result = CliRunner().invoke(main, ["--stage", "dev", "--resources", str(RESOURCES)])

    assert result.exit_code == 1
    assert "FAILED  access log role: API Gateway has none" in result.output
    assert "          aws iam create-role --role-name api-gateway-logs" in result.output
    assert f"value={ROLE}" in result.output
