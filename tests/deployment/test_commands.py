"""The documented commands, run by the real `aws` and `make` against a moto server.

moto does not have everything that they are about, and CloudFormation there does not know serverless
resources. So a command passes if the service understood it: it answered, with a result or an error
of its own. A command that the CLI itself refuses never gets there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deployment.conftest import REGION, ROOT
from tests.support import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deployment.conftest import Project
    from tests.support.moto_server import MotoServer

pytestmark = pytest.mark.proof

PAGES = ("deployment", "operations", "runbook", "notifications", "sweep", "identity", "events")
CLI = ROOT / ".venv-aws" / "bin"
VALUES = {
    "REGION": REGION,
    "ACCOUNT": "123456789012",
    "BUCKET": "bucket",
    "TOPIC": "alarms",
    "API": "abcdef1234",
    "ROUTE": "route1",
    "RULE": "rule1",
    "SUBSCRIPTION": f"arn:aws:sns:{REGION}:123456789012:topic:1",
    "CERTIFICATE": f"arn:aws:acm:{REGION}:123456789012:certificate/1",
    "HANDLE": "handle",
    "URL": "$AWS_ENDPOINT_URL/123456789012/queue",
}
PLACEHOLDER = re.compile(rf"\b({'|'.join(VALUES)})\b")
# What the AWS CLI 1 prints before the code of a service's error.
ANSWERED = re.compile(r"An error occurred \([\w.]+\)|Waiter \w+ failed|Unable to parse response")


def commands() -> list[tuple[str, str]]:
    """Return the documented commands of the AWS CLI, each once."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            joined = re.sub(r"\\\n\s*", "", block)
            # A quoted argument may span lines.
            for command in re.findall(r"^aws (?:[^'\n]|'[^']*')+", joined, re.MULTILINE):
                filled = PLACEHOLDER.sub(lambda m: VALUES[m[0]], command.partition("  #")[0])
                found.setdefault(filled, page)
    return [(page, command) for command, page in found.items()]


@pytest.fixture(scope="module")
def aws() -> Iterator[MotoServer]:
    """Run a moto server: the documents' commands use more services than ministack has."""
    with moto_server.running(REGION) as server:
        yield server


@pytest.fixture(scope="module")
def folder(project: Project, aws: MotoServer) -> Path:
    """Return a folder with the files that the documents' commands read, and the bucket."""
    subprocess.run(["make", ".venv-aws/bin/aws"], cwd=ROOT, check=True, capture_output=True)
    aws.client("s3").create_bucket(
        Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    shutil.copy(ROOT / "Makefile", project.folder)
    for name in ("requirements-dev.txt", "requirements-aws.txt"):
        shutil.copy(ROOT / name, project.folder)
    (project.folder / ".venv").symlink_to(ROOT / ".venv")
    dev = project.package("dev")
    shutil.copy(dev / "sam.json", dev / "packaged.json")
    shutil.copytree(dev, dev.with_name("prod"))
    (project.folder / "event.json").write_text("{}")
    return project.folder


def run(folder: Path, aws: MotoServer, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the shell would, with the AWS CLI of the project and moto as AWS."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS")}
    environment = {
        **inherited,
        **aws.environment,
        # moto finds the bucket in the path of an address only under this name.
        "AWS_ENDPOINT_URL": aws.endpoint.replace("127.0.0.1", "localhost"),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": str(folder / "no-such-file"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-such-file"),
        "AWS_MAX_ATTEMPTS": "1",
        "TOPIC_ARN": f"arn:aws:sns:{REGION}:123456789012:topic",
        "PATH": f"{CLI}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def understood(finished: subprocess.CompletedProcess[str]) -> bool:
    """Return whether the service got the request."""
    return finished.returncode == 0 or ANSWERED.search(finished.stderr) is not None


def test_make_doctor_names_the_missing_role_and_exits_with_an_error(
    folder: Path, aws: MotoServer
) -> None:
    """After its commands, the role is there. Runs first, before other commands create the role."""
    command = "make -o .venv/.installed doctor STAGE=prod BUCKET=bucket"

    before = run(folder, aws, command)
    for line in before.stdout.splitlines():
        if line.startswith(" " * 10):
            assert understood(run(folder, aws, line)), line
    after = run(folder, aws, command)

    assert "FAILED  access log role" in before.stdout
    assert before.returncode != 0
    assert "ok      access log role" in after.stdout, after.stdout
    assert after.returncode == 0


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_is_accepted(
    folder: Path, aws: MotoServer, page: str, command: str
) -> None:
    """The CLI knows the command, its options and its arguments."""
    if " wait " in command:
        command = f"timeout 8 {command}; test $? = 124 -o $? = 0 -o $? = 255"

    if command.startswith("aws sqs "):  # its address is not taken from the environment
        command = f"{command} --endpoint-url $AWS_ENDPOINT_URL"

    finished = run(folder, aws, command)

    assert understood(finished), (page, finished.stderr)


@pytest.mark.parametrize(
    "command",
    [
        "aws lambda invoke --no-such-option --function-name x out.json",
        "aws lambda invoke --cli-binary-format raw-in-base64-out --function-name x out.json",
        "aws cloudformation deploy --template-file build/dev/packaged.json --stack-name x",
        "aws sqs receive-message",
        "aws apigatewayv2 no-such-command",
    ],
)
def test_a_command_that_the_cli_refuses_is_detected(
    folder: Path, aws: MotoServer, command: str
) -> None:
    """Among them: a template over 51,200 bytes without a bucket, and an option of the CLI 2."""
    assert not understood(run(folder, aws, command))


def test_make_deploy_stack_uploads_zip_and_template_and_asks_for_the_stack(
    folder: Path, aws: MotoServer
) -> None:
    """Moto cannot create serverless resources, so the last of the commands ends there."""
    keep = f"-o .venv/.installed AWS={CLI / 'aws'} -o {CLI / 'aws'}"

    finished = run(
        folder,
        aws,
        f"make {keep} deploy-stack STAGE=dev BUCKET=bucket PARAMETERS=LogClosedConnections=yes",
    )

    assert "Successfully packaged artifacts" in finished.stdout, finished.stderr
    packaged = json.loads((folder / "build" / "dev" / "packaged.json").read_text())
    uris = {
        resource["Properties"]["CodeUri"]
        for resource in packaged["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert all(uri.startswith("s3://bucket/") for uri in uris)
    [stack] = aws.client("cloudformation").describe_stacks(StackName="incident-websocket-dev")[
        "Stacks"
    ]
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
    assert parameters["Stage"] == "dev"
    assert parameters["LogClosedConnections"] == "yes"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "REGION"])
def test_make_gives_every_tool_the_same_region(name: str, tmp_path: Path) -> None:
    """Each tool reads another variable."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    with (tmp_path / "Makefile").open("a") as makefile:
        makefile.write("\nshow:\n\t@echo $$AWS_REGION $$AWS_DEFAULT_REGION\n")
    inherited = {k: v for k, v in os.environ.items() if "REGION" not in k}

    shown = subprocess.run(
        ["make", "--no-print-directory", "show"],
        cwd=tmp_path,
        env={**inherited, name: "eu-west-3"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout == "eu-west-3 eu-west-3\n"


def test_make_deploy_stack_runs_the_documented_pipeline(tmp_path: Path) -> None:
    """A pipeline may run the three commands itself."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    alarms = "AlarmTopicArn=arn:aws:sns:REGION:ACCOUNT:TOPIC"
    keep = ["-o", ".venv/.installed", "-o", "aws", "AWS=aws"]
    given = ["STAGE=prod", "BUCKET=BUCKET", f"PARAMETERS={alarms}"]

    planned = subprocess.run(
        ["make", "--dry-run", *keep, "deploy-stack", *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    [block] = re.findall(
        r"```sh\n(python -m provision.package --stage prod\naws .*?)```", text, re.S
    )
    documented = re.sub(r" *\\\n\s*", " ", block).splitlines()[:3]
    plan = re.sub(r" *\\\n\s*", " ", planned)
    assert [command for command in documented if command not in plan] == []


def test_deploy_stack_without_a_bucket_says_so(tmp_path: Path) -> None:
    """It stops before anything is packaged."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    refused = subprocess.run(
        ["make", "-o", ".venv/.installed", "-o", "aws", "AWS=aws", "deploy-stack"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode != 0
    assert "BUCKET is empty" in refused.stderr
