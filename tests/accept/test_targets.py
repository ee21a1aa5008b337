"""A stage is found by Chalice's record, or by the outputs of a stack."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from accept.errors import TargetError
from accept.target import longest_s, stage_config
from accept.targets import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "wss://abc123.execute-api.eu-west-1.amazonaws.com/dev"
VARIABLES = {"CONNECTIONS_TABLE": "Table", "NOTIFICATIONS_TOPIC": "Topic"}
TEMPLATE = {
    "Parameters": {"Stage": {"Type": "String"}},
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
    "Outputs": {
        "WebsocketConnectEndpointURL": {"Value": f"{URL}/"},
        "WebsocketAPIId": {"Value": "abc123"},
    },
}


@pytest.fixture
def account() -> Iterator[None]:
    """Have an account with the function `connect` of the stage `dev`."""
    with mock_aws():
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        iam = boto3.client("iam")
        role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as code:
            code.writestr("app.py", "")
        boto3.client("lambda").create_function(
            FunctionName="incident-websocket-dev-websocket_connect",
            Role=role,
            Runtime="python3.13",
            Handler="app.connect",
            Code={"ZipFile": content.getvalue()},
            Environment={"Variables": VARIABLES},
        )
        yield


def configured(project: Path, functions: dict[str, dict[str, int]]) -> Path:
    """Write the configuration of these functions and return the project's folder."""
    config = {"lambda_timeout": 10, "stages": {"dev": {"lambda_functions": functions}}}
    (project / ".chalice").mkdir()
    (project / ".chalice" / "config.json").write_text(json.dumps(config))
    return project


def recorded(project: Path) -> Path:
    """Write the record of a deployment, too, and return the project's folder."""
    configured(project, {"sweep": {"lambda_timeout": 240}})
    folder = project / ".chalice" / "deployed"
    folder.mkdir(parents=True)
    api = {
        "resource_type": "websocket_api",
        "websocket_api_url": f"{URL}/",
        "websocket_api_id": "abc123",
    }
    (folder / "dev.json").write_text(json.dumps({"resources": [api]}))
    return project


@pytest.mark.usefixtures("account")
def test_a_stage_of_chalice_is_found_by_its_record(tmp_path: Path) -> None:
    """The rest is read from the deployed function."""
    target, aws = deployed.by_record("dev", recorded(tmp_path), None)

    assert (target.kind, target.url, target.api_id) == ("chalice", URL, "abc123")
    assert target.connections_api == URL.replace("wss", "https")
    assert target.table == "Table"
    assert target.topic_arn == "arn:aws:sns:eu-west-1:123456789012:Topic"
    assert target.functions["sweep"] == "incident-websocket-dev-sweep"
    assert aws.region == "eu-west-1"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"sweep": {"lambda_timeout": 240}, "close": {"lambda_timeout": 30}}, 240),
        ({"notify": {"lambda_timeout": 900}, "sweep": {}}, 10),
        ({}, 10),
    ],
)
def test_the_function_that_may_run_longest_is_known(
    tmp_path: Path, own: dict[str, dict[str, int]], expected: int
) -> None:
    """Of those that checks invoke; `notify` is none of them."""
    assert longest_s(stage_config(configured(tmp_path, own), "dev")) == expected


@pytest.mark.usefixtures("account")
def test_a_stack_is_found_by_its_outputs(tmp_path: Path) -> None:
    """The stage is the stack's parameter."""
    boto3.client("cloudformation").create_stack(
        StackName="stack",
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}],
    )

    target, aws = deployed.by_stack("stack", recorded(tmp_path), None)

    assert (target.kind, target.stage, target.url) == ("stack", "dev", URL)
    assert target.api_id == "abc123"
    assert aws.client("lambda").meta.config.read_timeout > 240


@pytest.mark.usefixtures("account")
def test_another_address_can_be_given(tmp_path: Path) -> None:
    """A custom domain has one."""
    url = "wss://dashboard.example.com/live"

    target, _ = deployed.by_record("dev", recorded(tmp_path), url)

    assert target.url == url
    assert target.connections_api == "https://dashboard.example.com/live"


@pytest.mark.parametrize("url", ["https://host", "host/live", "wss:///live", "wss://host:port"])
@pytest.mark.usefixtures("account")
def test_another_kind_of_address_is_an_error(tmp_path: Path, url: str) -> None:
    """No check could be made there."""
    with pytest.raises(TargetError, match=r"--url is .*; expected wss://HOST"):
        deployed.by_record("dev", recorded(tmp_path), url)


@pytest.mark.usefixtures("account")
def test_the_region_is_the_one_of_the_commands_that_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage may be deployed in two regions. botocore does not read AWS_REGION, they do."""
    boto3.client("cloudformation").create_stack(
        StackName="stack",
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}],
    )
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    with pytest.raises(TargetError, match="'stack' cannot be read"):
        deployed.by_stack("stack", tmp_path, None)
    with pytest.raises(TargetError, match="websocket_connect cannot be read"):
        deployed.by_record("dev", recorded(tmp_path), None)


@pytest.mark.usefixtures("account")
def test_a_stack_that_does_not_exist_or_has_no_stage_is_an_error(tmp_path: Path) -> None:
    """The message has the name."""
    with pytest.raises(TargetError, match="'nothing' cannot be read"):
        deployed.by_stack("nothing", tmp_path, None)

    other = json.dumps({"Resources": TEMPLATE["Resources"]})
    boto3.client("cloudformation").create_stack(StackName="other", TemplateBody=other)
    with pytest.raises(TargetError, match="'other' is CREATE_COMPLETE and has no 'Stage'"):
        deployed.by_stack("other", tmp_path, None)


def test_a_function_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The record may be older than the account's state."""
    with mock_aws(), pytest.raises(TargetError, match="websocket_connect cannot be read"):
        deployed.by_record("dev", recorded(tmp_path), None)


def test_an_unknown_stage_is_an_error(tmp_path: Path) -> None:
    """The message has the file."""
    with pytest.raises(TargetError, match=r"config\.json has no stage 'dev'"):
        stage_config(tmp_path, "dev")
