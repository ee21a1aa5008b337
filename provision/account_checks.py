"""The checks of an account before a deployment. They only read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.template import load_buses, load_queues, load_tables, load_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import boto3

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
USUAL_CONCURRENCY = 1000
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
MAX_LOG_POLICIES = 10
_LOGS_ROLE = "api-gateway-logs"
_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "apigateway.amazonaws.com"}}]}'
)


class Result(StrEnum):
    """The outcome of one check."""

    PASSED = "ok"
    NOTED = "note"
    FAILED = "FAILED"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """The outcome of a check, why, and the commands that mend it."""

    result: Result
    detail: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """An account and region, and the stage to deploy there; `bucket` is for the template."""

    session: boto3.Session
    stage: str
    resources: Path
    bucket: str | None = None

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        # The service is a variable, so the type checker cannot know the client.
        make: Any = self.session.client
        return make(service)


def checks(account: Account) -> Iterator[tuple[str, Callable[[], Finding]]]:
    """Return the name of each check and the check, in the order in which they make sense."""
    yield "region", lambda: region(account)
    yield "credentials", lambda: credentials(account)
    yield "access log role", lambda: access_log_role(account)
    if account.bucket:
        yield "bucket", lambda: bucket(account, str(account.bucket))
    yield "concurrency", lambda: concurrency(account)
    yield "log policies", lambda: log_policies(account)
    yield "stack", lambda: stack(account)
    yield "names", lambda: names(account)


def region(account: Account) -> Finding:
    """Check that a region is configured."""
    name = account.session.region_name
    if name:
        return Finding(Result.PASSED, name)
    how = ("export AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1",)
    return Finding(Result.FAILED, "none is configured", how)


def credentials(account: Account) -> Finding:
    """Check that AWS accepts the credentials."""
    caller = account.client("sts").get_caller_identity()
    return Finding(Result.PASSED, f"{caller['Arn']} of account {caller['Account']}")


def access_log_role(account: Account) -> Finding:
    """Check that API Gateway has a role to write the stack's access log with."""
    arn = account.client("apigateway").get_account().get("cloudwatchRoleArn")
    if arn:
        return Finding(Result.PASSED, arn)
    caller = account.client("sts").get_caller_identity()
    partition, owner = caller["Arn"].split(":")[1], caller["Account"]
    managed = "iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    role = f"arn:{partition}:iam::{owner}:role/{_LOGS_ROLE}"
    return Finding(
        Result.FAILED,
        "API Gateway has none in this account and region, so the stack's access log cannot be "
        "created (`chalice deploy` needs none). IAM takes some seconds to make the role usable: "
        "repeat the last command until it succeeds",
        (
            f"aws iam create-role --role-name {_LOGS_ROLE} "
            f"--assume-role-policy-document '{_TRUST}'",
            f"aws iam attach-role-policy --role-name {_LOGS_ROLE} "
            f"--policy-arn arn:{partition}:{managed}",
            "aws apigateway update-account "
            f"--patch-operations op=replace,path=/cloudwatchRoleArn,value={role}",
        ),
    )


def bucket(account: Account, name: str) -> Finding:
    """Check that the bucket exists, may be used, and is in the region of the stack."""
    s3 = account.client("s3")
    try:
        head = s3.head_bucket(Bucket=name)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return Finding(
            Result.FAILED,
            f"{name} does not exist or may not be used ({code})",
            (f"aws s3 mb s3://{name} --region {account.session.region_name}",),
        )
    found = head.get("BucketRegion") or account.session.region_name
    if found != account.session.region_name:
        return Finding(
            Result.FAILED,
            f"{name} is in {found}; expected a bucket in {account.session.region_name}, "
            "because Lambda reads the zip in its own region",
        )
    return Finding(Result.PASSED, f"{name} in {found}")


def concurrency(account: Account) -> Finding:
    """Check how many functions the account may run at once."""
    limit = account.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit >= USUAL_CONCURRENCY:
        return Finding(Result.PASSED, f"{limit} functions at once")
    return Finding(
        Result.NOTED,
        f"{limit} functions at once instead of {USUAL_CONCURRENCY}: about {limit} handshakes at a "
        "time, and NotifyReservedConcurrency must leave 100 unreserved. Raise the quota",
        (
            "aws service-quotas request-service-quota-increase --service-code lambda "
            f"--quota-code L-B99A9384 --desired-value {USUAL_CONCURRENCY}",
        ),
    )


def log_policies(account: Account) -> Finding:
    """Check that LogClosedConnections=yes could add a resource policy to CloudWatch Logs."""
    pages = account.client("logs").get_paginator("describe_resource_policies").paginate()
    found = sum(len(page["resourcePolicies"]) for page in pages)
    detail = f"{found} of {MAX_LOG_POLICIES} resource policies of CloudWatch Logs are used"
    if found < MAX_LOG_POLICIES:
        return Finding(Result.PASSED, detail)
    return Finding(Result.NOTED, f"{detail}: LogClosedConnections=yes would fail")


def stack(account: Account) -> Finding:
    """Check that the stage's stack can be created or updated."""
    name = f"incident-websocket-{account.stage}"
    try:
        [found] = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return Finding(Result.PASSED, f"{name} does not exist yet")
    status = found["StackStatus"]
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
        return Finding(
            Result.FAILED,
            f"{name} is in {status}, in which it can only be deleted",
            (f"aws cloudformation delete-stack --stack-name {name}",),
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        return Finding(
            Result.FAILED,
            f"{name} is in {status}: no update is accepted until its rollback is complete",
            (f"aws cloudformation continue-update-rollback --stack-name {name}",),
        )
    # Under review, a stack has a change set and nothing else.
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        detail = f"{name} is in {status}: no other update is accepted until it has ended"
        return Finding(Result.FAILED, detail)
    return Finding(Result.PASSED, f"{name} is in {status}")


def names(account: Account) -> Finding:
    """Check which of the stage's names are taken.

    They are those of a running deployment or were left by a deleted one. Only a person knows.
    """
    taken = [name for name, exists in _names(account) if exists()]
    if not taken:
        return Finding(Result.PASSED, "none is taken")
    return Finding(
        Result.NOTED,
        f"taken: {', '.join(taken)}. `chalice deploy` and an update of the stack use them; a new "
        "stack would fail on them. Import the table (docs/deployment.md), delete the others",
    )


def _names(account: Account) -> Iterator[tuple[str, Callable[[], bool]]]:
    parameters = {"Stage": account.stage}
    resources = account.resources
    queues = [each.name for each in load_queues(resources, parameters).values()]
    calls = (
        ("dynamodb", "describe_table", "TableName", _table_names(account)),
        ("events", "describe_event_bus", "Name", load_buses(resources, parameters)),
        ("sqs", "get_queue_url", "QueueName", queues),
        (
            "lambda",
            "get_function",
            "FunctionName",
            [f"incident-websocket-{account.stage}-websocket_connect"],
        ),
    )
    for service, operation, argument, of_service in calls:
        client = account.client(service)
        for name in of_service:
            yield name, _exists(getattr(client, operation), **{argument: name})
    for name in load_topics(resources, parameters).values():
        yield name, lambda name=name: _has_topic(account, name)  # type: ignore[misc]
    # `chalice delete` leaves them, and the stack creates them under the same names.
    for start in (
        f"/aws/lambda/incident-websocket-{account.stage}-",
        f"/aws/apigateway/incident-websocket-{account.stage}",
    ):
        name = f"log groups {start}…"
        yield name, lambda start=start: _has_log_group(account, start)  # type: ignore[misc]


def _table_names(account: Account) -> list[str]:
    return [table.name for table in load_tables(account.resources, {"Stage": account.stage})]


def _exists(call: Callable[..., object], **arguments: str) -> Callable[[], bool]:
    def exists() -> bool:
        try:
            call(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if "NotFound" in code or "NonExistent" in code:
                return False
            raise
        return True

    return exists


def _has_log_group(account: Account, start: str) -> bool:
    logs = account.client("logs")
    return bool(logs.describe_log_groups(logGroupNamePrefix=start, limit=1)["logGroups"])


def _has_topic(account: Account, name: str) -> bool:
    pages = account.client("sns").get_paginator("list_topics").paginate()
    return any(t["TopicArn"].endswith(f":{name}") for page in pages for t in page["Topics"])
