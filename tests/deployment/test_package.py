"""What `chalice package` makes of each stage: the zip and the CloudFormation template."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped] # has no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped] # same

from provision.template import load_tables
from tests.deployment.conftest import REGION, ROOT, STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.deployment.conftest import Project

MAX_ZIP_BYTES = 60_000
LOG_DAYS = {"dev": 14, "prod": 90}
HANDLERS = {"Connect": "app.connect", "Disconnect": "app.disconnect"}
RESOURCES = {
    "AccessLogGroup": "AWS::Logs::LogGroup",
    "ConnectionsTable": "AWS::DynamoDB::Table",
    "WebsocketAPI": "AWS::ApiGatewayV2::Api",
    "WebsocketAPIDeployment": "AWS::ApiGatewayV2::Deployment",
    "WebsocketAPIStage": "AWS::ApiGatewayV2::Stage",
    "WebsocketConnect": "AWS::Lambda::Function",
    "WebsocketConnectAPIIntegration": "AWS::ApiGatewayV2::Integration",
    "WebsocketConnectInvokePermission": "AWS::Lambda::Permission",
    "WebsocketConnectLogGroup": "AWS::Logs::LogGroup",
    "WebsocketConnectRole": "AWS::IAM::Role",
    "WebsocketConnectRoute": "AWS::ApiGatewayV2::Route",
    "WebsocketDisconnect": "AWS::Lambda::Function",
    "WebsocketDisconnectAPIIntegration": "AWS::ApiGatewayV2::Integration",
    "WebsocketDisconnectInvokePermission": "AWS::Lambda::Permission",
    "WebsocketDisconnectLogGroup": "AWS::Logs::LogGroup",
    "WebsocketDisconnectRole": "AWS::IAM::Role",
    "WebsocketDisconnectRoute": "AWS::ApiGatewayV2::Route",
}


@dataclass(frozen=True)
class Package:
    """What one run of `chalice package` made, and its template as CloudFormation gets it."""

    stage: str
    folder: Path
    template: Mapping[str, Any]

    def properties(self, logical_id: str) -> Mapping[str, Any]:
        """Give a resource's properties."""
        properties: Mapping[str, Any] = self.template["Resources"][logical_id]["Properties"]
        return properties

    def stage_value(self, value: Mapping[str, list[Any]]) -> Any:
        """Look a Fn::FindInMap by stage up, as CloudFormation will."""
        name, by, key = value["Fn::FindInMap"]
        assert by == {"Ref": "Stage"}
        return self.template["Mappings"][name][self.stage][key]


@pytest.fixture(scope="module", params=STAGES)
def package(project: Project, request: pytest.FixtureRequest) -> Package:
    """Package a stage and expand the result's serverless resources as CloudFormation does."""
    stage = str(request.param)
    folder = project.package(stage)
    return Package(stage, folder, translate(json.loads((folder / "sam.json").read_text()), stage))


def translate(template: dict[str, Any], stage: str) -> Mapping[str, Any]:
    """Run AWS's own transform; `aws cloudformation package` has put the zip into a bucket."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            assert resource["Properties"]["CodeUri"] == "./deployment.zip"
            resource["Properties"]["CodeUri"] = "s3://bucket/deployment.zip"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        translated: Mapping[str, Any] = Translator({}, Parser()).translate(
            template, {"Stage": stage}
        )
    return translated


def cfn_lint(template: Path) -> subprocess.CompletedProcess[str]:
    """Run cfn-lint as the gate does."""
    command = [Path(sys.executable).parent / "cfn-lint", template]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_template_holds_exactly_these_resources(package: Package) -> None:
    """Nothing is created beside what is listed."""
    resources = package.template["Resources"]
    assert {name: resource["Type"] for name, resource in resources.items()} == RESOURCES


def test_the_stage_parameter_must_be_given(package: Package) -> None:
    """Without a default, a forgotten parameter is refused before anything is created."""
    parameter = package.template["Parameters"]["Stage"]
    assert "Default" not in parameter
    assert parameter["AllowedValues"] == list(STAGES)
    assert package.template["Mappings"]["Stages"].keys() == set(STAGES)


def test_the_table_expires_rows_is_encrypted_and_outlives_the_stack(package: Package) -> None:
    """The table is the documented one, and neither deletion nor replacement removes its rows."""
    table = package.template["Resources"]["ConnectionsTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"] == {
        "TableName": {"Fn::Sub": "IncidentWebSocketConnections-${Stage}"},
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "connectionId", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "SSESpecification": {"SSEEnabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_is_configured_for_a_handshake(package: Package, handler: str) -> None:
    """It runs on arm64 with a short timeout and writes to the table of its own stack."""
    # GIVEN
    name = f"incident-websocket-${{Stage}}-websocket_{handler.lower()}"

    # WHEN
    function = package.properties(f"Websocket{handler}")

    # THEN
    assert function["Handler"] == HANDLERS[handler]
    assert function["FunctionName"] == {"Fn::Sub": name}
    assert function["Architectures"] == ["arm64"]
    assert (function["MemorySize"], function["Timeout"]) == (512, 10)
    assert function["Runtime"] == f"python3.{sys.version_info.minor}"
    assert function["Environment"]["Variables"] == {
        "CONNECTIONS_TABLE": {"Ref": "ConnectionsTable"},
        "TTL_HOURS": "24",
        "LOG_LEVEL": "INFO",
    }


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_has_a_role_with_its_policy_file_alone(package: Package, handler: str) -> None:
    """The function's only permissions are those of its own file of its own stage."""
    # GIVEN
    file = ROOT / ".chalice" / "policies" / f"{package.stage}-{handler.lower()}.json"

    # WHEN
    role = package.properties(f"Websocket{handler}Role")

    # THEN
    assert [p["PolicyDocument"] for p in role["Policies"]] == [json.loads(file.read_text())]
    assert "ManagedPolicyArns" not in role
    function = package.properties(f"Websocket{handler}")
    assert function["Role"] == {"Fn::GetAtt": [f"Websocket{handler}Role", "Arn"]}


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_keeps_its_logs_for_the_stages_time(package: Package, handler: str) -> None:
    """The log group has the name that Lambda writes to and the stage's retention."""
    group = package.properties(f"Websocket{handler}LogGroup")
    assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{Websocket{handler}}}"}
    assert group["RetentionInDays"] == LOG_DAYS[package.stage]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_route_leads_to_its_function(package: Package, handler: str) -> None:
    """Route, integration and permission belong together."""
    # GIVEN
    function = {"Ref": f"Websocket{handler}"}

    # WHEN
    route = package.properties(f"Websocket{handler}Route")
    integration = package.properties(f"Websocket{handler}APIIntegration")
    permission = package.properties(f"Websocket{handler}InvokePermission")

    # THEN
    target = ["integrations", {"Ref": f"Websocket{handler}APIIntegration"}]
    assert route["RouteKey"] == f"${handler.lower()}"
    assert route["Target"] == {"Fn::Join": ["/", target]}
    assert integration["IntegrationType"] == "AWS_PROXY"
    assert integration["IntegrationUri"]["Fn::Sub"][1] == {"WebsocketHandler": function}
    assert permission["FunctionName"] == function
    assert permission["Principal"] == "apigateway.amazonaws.com"


def test_a_route_change_reaches_the_stage(package: Package) -> None:
    """The stage deploys itself; pinned to Chalice's one deployment it would never change."""
    stage = package.template["Resources"]["WebsocketAPIStage"]
    assert stage["Properties"]["StageName"] == package.stage
    assert stage["Properties"]["AutoDeploy"] is True
    assert stage["Properties"]["DeploymentId"] == {"Ref": "AWS::NoValue"}
    # The deployment waits for the routes, so the stage never starts without them.
    assert stage["DependsOn"] == "WebsocketAPIDeployment"
    deployment = package.template["Resources"]["WebsocketAPIDeployment"]
    assert set(deployment["DependsOn"]) == {f"Websocket{handler}Route" for handler in HANDLERS}


def test_the_stage_is_throttled(package: Package) -> None:
    """A rush of handshakes is cut off at the stage's own rate, dev's below prod's."""
    settings = package.properties("WebsocketAPIStage")["DefaultRouteSettings"]
    rate = package.stage_value(settings["ThrottlingRateLimit"])
    burst = package.stage_value(settings["ThrottlingBurstLimit"])
    assert (rate, burst) == {"dev": (50, 100), "prod": (500, 1000)}[package.stage]


def test_the_stage_logs_each_request_as_json(package: Package) -> None:
    """The access log names the connection and the outcome, in a group of its own."""
    # GIVEN
    stage = package.properties("WebsocketAPIStage")
    group = package.properties("AccessLogGroup")

    # WHEN
    line = json.loads(stage["AccessLogSettings"]["Format"])

    # THEN
    assert {"requestId", "connectionId", "eventType", "routeKey", "status"} <= line.keys()
    assert all(value.startswith("$context.") for value in line.values())
    destination = stage["AccessLogSettings"]["DestinationArn"]["Fn::Sub"]
    assert destination.endswith(":log-group:${AccessLogGroup}")
    assert group["LogGroupName"] == {"Fn::Sub": "/aws/apigateway/incident-websocket-${Stage}"}
    assert package.stage_value(group["RetentionInDays"]) == LOG_DAYS[package.stage]


def test_the_outputs_name_the_table_and_the_address(package: Package) -> None:
    """What a client or a pipeline needs is an output of the stack."""
    outputs = {name: output["Value"] for name, output in package.template["Outputs"].items()}
    assert outputs["ConnectionsTableName"] == {"Ref": "ConnectionsTable"}
    assert outputs["ConnectionsTableArn"] == {"Fn::GetAtt": ["ConnectionsTable", "Arn"]}
    url = outputs["WebsocketConnectEndpointURL"]["Fn::Sub"]
    assert url.startswith("wss://${WebsocketAPI}.")
    assert url.endswith(f"/{package.stage}/")


def test_the_zip_holds_the_application_and_chalice_alone(package: Package) -> None:
    """No AWS SDK, no tests, no tools: what ships is small, so it starts fast."""
    # GIVEN
    path = package.folder / "deployment.zip"

    # WHEN
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()

    # THEN
    assert {Path(name).parts[0] for name in names} == {"app.py", "chalicelib", "chalice"}
    assert {n for n in names if n.startswith("chalice/")} == {
        "chalice/__init__.py",
        "chalice/app.py",
    }
    assert path.stat().st_size <= MAX_ZIP_BYTES


def test_the_configured_table_is_the_defined_one(package: Package) -> None:
    """`chalice deploy`, which knows no Ref, names the table that the resources file defines."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    environment = config["stages"][package.stage]["environment_variables"]
    [table] = load_tables(ROOT / ".chalice" / "resources.json", {"Stage": package.stage})
    assert environment["CONNECTIONS_TABLE"] == table.name


def test_cfn_lint_accepts_the_template(package: Package) -> None:
    """Every property, reference and value is one that CloudFormation takes."""
    linted = cfn_lint(package.folder / "sam.json")
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("resource", "properties"),
    [
        ("WebsocketAPIStage", {"AutoDeploi": True}),
        ("AccessLogGroup", {"LogGroupName": {"Ref": "Nothing"}}),
    ],
)
def test_cfn_lint_refuses_a_broken_template(
    package: Package, tmp_path: Path, resource: str, properties: dict[str, Any]
) -> None:
    """The check above fails for an unknown property and for a reference to nothing."""
    template = json.loads((package.folder / "sam.json").read_text())
    template["Resources"][resource]["Properties"] |= properties
    broken = tmp_path / "sam.json"
    broken.write_text(json.dumps(template))
    assert cfn_lint(broken).returncode != 0
