"""The result of `chalice package` for each stage: the zip and the CloudFormation template."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped] # has no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped] # same

from chalicelib.adapters import eventbridge as announcements
from chalicelib.handlers import unclaimed
from chalicelib.services import endings
from chalicelib.variables import VARIABLES
from provision.template import load_tables, load_topics
from tests.deployment.conftest import REGION, ROOT, STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.deployment.conftest import Project

pytestmark = pytest.mark.proof

MAX_ZIP_BYTES = 10_000_000
LOG_DAYS = {"dev": 14, "prod": 90}


@dataclass(frozen=True)
class Function:
    """The expected configuration of a function; `timeout` is in s, `memory` in MB."""

    name: str
    handler: str
    policy: str
    timeout: int
    memory: int = 512


FUNCTIONS = {
    "WebsocketConnect": Function("websocket_connect", "app.connect", "connect", 10),
    "WebsocketDisconnect": Function("websocket_disconnect", "app.disconnect", "disconnect", 10),
    "WebsocketMessage": Function("websocket_message", "app.message", "message", 10),
    "Notify": Function("notify", "app.notify", "notify", 900, memory=1769),
    "Unclaimed": Function("unclaimed", "app.unclaimed", "unclaimed", 30),
    "Connections": Function("connections", "app.connections", "connections", 30),
    "Close": Function("close", "app.close", "close", 30),
    "Sweep": Function("sweep", "app.sweep", "sweep", 240),
}
ROUTES = {"Connect": "$connect", "Disconnect": "$disconnect", "Message": "$default"}
RESOURCES = {
    "AccessLogGroup": "AWS::Logs::LogGroup",
    "ClosedLogGroup": "AWS::Logs::LogGroup",
    "ClosedLogPolicy": "AWS::Logs::ResourcePolicy",
    "ClosedRule": "AWS::Events::Rule",
    "ConnectionsTable": "AWS::DynamoDB::Table",
    "Dashboard": "AWS::CloudWatch::Dashboard",
    "EventBus": "AWS::Events::EventBus",
    "NobodyHomeRule": "AWS::Events::Rule",
    "UnclaimedQueue": "AWS::SQS::Queue",
    "UnclaimedUnclaimedSqsEventSource": "AWS::Lambda::EventSourceMapping",
    "FailedNotifications": "AWS::SQS::Queue",
    "HistoryTable": "AWS::DynamoDB::Table",
    "FailedNotificationsPolicy": "AWS::SQS::QueuePolicy",
    "NotificationsTopic": "AWS::SNS::Topic",
    "NotificationsTopicPolicy": "AWS::SNS::TopicPolicy",
    "OwnApiOnly": "AWS::IAM::Policy",
    "NotifyInvokeConfig": "AWS::Lambda::EventInvokeConfig",
    "SweepInvokeConfig": "AWS::Lambda::EventInvokeConfig",
    "NotifyNotifySnsSubscription": "AWS::SNS::Subscription",
    "NotifyNotifySnsSubscriptionPermission": "AWS::Lambda::Permission",
    "SweepSweepEvent": "AWS::Events::Rule",
    "SweepSweepEventPermission": "AWS::Lambda::Permission",
    "WebsocketAPI": "AWS::ApiGatewayV2::Api",
    "WebsocketAPIDeployment": "AWS::ApiGatewayV2::Deployment",
    "WebsocketAPIStage": "AWS::ApiGatewayV2::Stage",
    "WebsocketMessageRouteResponse": "AWS::ApiGatewayV2::RouteResponse",
    **dict.fromkeys(FUNCTIONS, "AWS::Lambda::Function"),
    **{f"{function}LogGroup": "AWS::Logs::LogGroup" for function in FUNCTIONS},
    **{f"{function}Role": "AWS::IAM::Role" for function in FUNCTIONS},
    **{f"Websocket{handler}APIIntegration": "AWS::ApiGatewayV2::Integration" for handler in ROUTES},
    **{f"Websocket{handler}InvokePermission": "AWS::Lambda::Permission" for handler in ROUTES},
    **{f"Websocket{handler}Route": "AWS::ApiGatewayV2::Route" for handler in ROUTES},
    **{f"{f.removeprefix('Websocket')}Failing": "AWS::CloudWatch::Alarm" for f in FUNCTIONS},
    **dict.fromkeys(
        (
            *(
                "AnswersFailing",
                "FunctionsThrottled",
                "HandshakesFailing",
                "HandshakesRefused",
                "ApiFailing",
            ),
            *("RequestsRefused", "TableThrottled", "SweepNotRun", "SweepLagging"),
            *("DisconnectsMissed", "AnnouncementsFailing", "HistoryFailing", "DeliveriesFailed"),
            *("NotificationsRejected", "NotificationsLeft", "NotificationsLost"),
        ),
        "AWS::CloudWatch::Alarm",
    ),
    **dict.fromkeys(
        (
            *("ErrorsQuery", "RefusedQuery", "EndsQuery", "ClientQuery"),
            *("DeliveriesQuery", "NotificationsQuery", "SweepsQuery", "ApiErrorsQuery"),
        ),
        "AWS::Logs::QueryDefinition",
    ),
}
# The application, Chalice, and the modules of the packages in requirements.txt.
SHIPPED = {
    *("app", "chalicelib", "chalice"),
    *("awscrt", "_awscrt", "jwt", "cryptography", "cffi", "_cffi_backend", "pycparser"),
}
ARM64 = 183  # e_machine of an ELF file


@dataclass(frozen=True)
class Package:
    """The result of one `chalice package`, with the template as CloudFormation expands it."""

    stage: str
    folder: Path
    template: Mapping[str, Any]

    def properties(self, logical_id: str) -> Mapping[str, Any]:
        """Return a resource's properties."""
        properties: Mapping[str, Any] = self.template["Resources"][logical_id]["Properties"]
        return properties

    def stage_value(self, value: Mapping[str, list[Any]]) -> Any:
        """Resolve Fn::FindInMap by stage, as CloudFormation does."""
        name, by, key = value["Fn::FindInMap"]
        assert by == {"Ref": "Stage"}
        return self.template["Mappings"][name][self.stage][key]


@pytest.fixture(scope="module", params=STAGES)
def package(project: Project, request: pytest.FixtureRequest) -> Package:
    """Package a stage and expand its serverless resources as CloudFormation does."""
    stage = str(request.param)
    folder = project.package(stage)
    return Package(stage, folder, translate(json.loads((folder / "sam.json").read_text()), stage))


def translate(template: dict[str, Any], stage: str) -> Mapping[str, Any]:
    """Run AWS's own transform, as if `aws cloudformation package` had uploaded the zip."""
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


def environment_of(stage: str) -> dict[str, str]:
    """Return the environment variables of a stage in config.json."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    variables: dict[str, str] = config["stages"][stage]["environment_variables"]
    return variables


def cfn_lint(template: Path) -> subprocess.CompletedProcess[str]:
    """Run cfn-lint as the gate does."""
    command = [Path(sys.executable).parent / "cfn-lint", template]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_template_holds_exactly_these_resources(package: Package) -> None:
    """The stack creates these and no others."""
    resources = package.template["Resources"]
    assert {name: resource["Type"] for name, resource in resources.items()} == RESOURCES


def test_only_the_packaged_stage_is_accepted(package: Package) -> None:
    """Without a default, CloudFormation refuses a forgotten parameter at once."""
    parameter = package.template["Parameters"]["Stage"]
    assert "Default" not in parameter
    assert parameter["AllowedValues"] == [package.stage]
    assert package.template["Mappings"]["Stages"].keys() == set(STAGES)


def test_the_table_expires_rows_is_encrypted_and_outlives_the_stack(package: Package) -> None:
    """Neither deletion nor replacement removes its rows; a failed first creation leaves no table.

    Only a table with a plain name can be imported into a new stack.
    """
    table = package.template["Resources"]["ConnectionsTable"]
    policies = (table["DeletionPolicy"], table["UpdateReplacePolicy"])
    assert policies == ("RetainExceptOnCreate", "Retain")
    assert table["Properties"] == {
        "TableName": f"IncidentWebSocketConnections-{package.stage}",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "connectionId", "AttributeType": "S"},
            {"AttributeName": "knownClientId", "AttributeType": "S"},
            {"AttributeName": "createdAt", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "ByClient",
                "KeySchema": [
                    {"AttributeName": "knownClientId", "KeyType": "HASH"},
                    {"AttributeName": "createdAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "SSESpecification": {"SSEEnabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }


def test_the_history_is_removed_with_the_stack_and_has_no_backups(package: Package) -> None:
    """A head that is restored would give numbers out twice: the table is made anew instead."""
    table = package.template["Resources"]["HistoryTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Delete", "Delete")
    assert table["Properties"] == {
        "TableName": f"IncidentWebSocketHistory-{package.stage}",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "stream", "AttributeType": "S"},
            {"AttributeName": "seq", "AttributeType": "N"},
        ],
        "KeySchema": [
            {"AttributeName": "stream", "KeyType": "HASH"},
            {"AttributeName": "seq", "KeyType": "RANGE"},
        ],
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "SSESpecification": {"SSEEnabled": True},
    }


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_function_has_its_own_configuration(package: Package, logical_id: str) -> None:
    """It uses the tables and the event bus of its own stack."""
    expected = FUNCTIONS[logical_id]

    function = package.properties(logical_id)

    assert function["Handler"] == expected.handler
    assert function["FunctionName"] == {"Fn::Sub": f"incident-websocket-${{Stage}}-{expected.name}"}
    assert function["Architectures"] == ["arm64"]
    assert (function["MemorySize"], function["Timeout"]) == (expected.memory, expected.timeout)
    assert function["Runtime"] == f"python3.{sys.version_info.minor}"
    assert function["Environment"]["Variables"] == {
        "STAGE": package.stage,
        "CONNECTIONS_TABLE": {"Ref": "ConnectionsTable"},
        "HISTORY_TABLE": {"Ref": "HistoryTable"},
        "NOTIFICATIONS_TOPIC": f"IncidentNotifications-{package.stage}",
        "UNCLAIMED_QUEUE": f"IncidentUnclaimed-{package.stage}",
        "EVENT_BUS": {"Ref": "EventBus"},
        "TTL_HOURS": "24",
        "LOG_LEVEL": "INFO",
    }


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_functions_role_has_its_policy_file_only(package: Package, logical_id: str) -> None:
    """The file is that of the same stage."""
    name = f"{package.stage}-{FUNCTIONS[logical_id].policy}.json"
    file = ROOT / ".chalice" / "policies" / name

    role = package.properties(f"{logical_id}Role")

    assert [p["PolicyDocument"] for p in role["Policies"]] == [json.loads(file.read_text())]
    assert "ManagedPolicyArns" not in role
    function = package.properties(logical_id)
    assert function["Role"] == {"Fn::GetAtt": [f"{logical_id}Role", "Arn"]}


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_function_keeps_its_logs_for_the_time_of_the_stage(
    package: Package, logical_id: str
) -> None:
    """The log group has the name that Lambda writes to."""
    group = package.properties(f"{logical_id}LogGroup")
    assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{{logical_id}}}"}
    assert group["RetentionInDays"] == LOG_DAYS[package.stage]


def test_the_sweep_runs_every_five_minutes(package: Package) -> None:
    """Its rule targets the function and may invoke it."""
    rule = package.properties("SweepSweepEvent")
    permission = package.properties("SweepSweepEventPermission")

    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["Sweep", "Arn"]}]
    assert permission["FunctionName"] == {"Ref": "Sweep"}
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["SweepSweepEvent", "Arn"]}


def test_only_the_topic_of_the_stack_invokes_notify(package: Package) -> None:
    """Subscription and permission name the same topic."""
    topic = package.properties("NotificationsTopic")
    subscription = package.properties("NotifyNotifySnsSubscription")
    permission = package.properties("NotifyNotifySnsSubscriptionPermission")

    assert topic == {"TopicName": {"Fn::Sub": "IncidentNotifications-${Stage}"}}
    assert subscription == {
        "TopicArn": {"Fn::Sub": "${NotificationsTopic}"},
        "Protocol": "lambda",
        "Endpoint": {"Fn::GetAtt": ["Notify", "Arn"]},
        "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["FailedNotifications", "Arn"]}},
    }
    assert permission["FunctionName"] == {"Ref": "Notify"}
    assert permission["Principal"] == "sns.amazonaws.com"
    assert permission["SourceArn"] == subscription["TopicArn"]


def test_unclaimed_reads_the_queue_of_the_stack_one_message_at_a_time(package: Package) -> None:
    """A message is shown again after six timeouts, and dead-lettered after five times."""
    queue = package.properties("UnclaimedQueue")
    source = package.properties("UnclaimedUnclaimedSqsEventSource")
    role = json.dumps(package.properties("UnclaimedRole"))

    assert queue == {
        "QueueName": {"Fn::Sub": "IncidentUnclaimed-${Stage}"},
        "VisibilityTimeout": 6 * FUNCTIONS["Unclaimed"].timeout,
        "MaximumMessageSize": 1_048_576,
        "SqsManagedSseEnabled": True,
        "RedrivePolicy": {
            "deadLetterTargetArn": {"Fn::GetAtt": ["FailedNotifications", "Arn"]},
            "maxReceiveCount": 5,
        },
    }
    assert source["EventSourceArn"] == {"Fn::Sub": "${UnclaimedQueue.Arn}"}
    assert source["FunctionName"] == {"Ref": "Unclaimed"}
    assert source["BatchSize"] == 1
    assert f"IncidentUnclaimed-{package.stage}" in role


def test_nobody_home_goes_to_a_topic_only_if_one_is_given(package: Package) -> None:
    """An example of who learns of it."""
    rule = package.template["Resources"]["NobodyHomeRule"]

    assert package.template["Parameters"]["NobodyHomeTopicArn"]["Default"] == ""
    assert rule["Condition"] == "TellsNobodyHome"
    assert rule["Properties"]["EventPattern"] == {
        "source": [announcements.SOURCE],
        "detail-type": [unclaimed.DETAIL_TYPE],
    }
    assert rule["Properties"]["EventBusName"] == {"Ref": "EventBus"}
    assert [target["Arn"] for target in rule["Properties"]["Targets"]] == [
        {"Ref": "NobodyHomeTopicArn"}
    ]


def test_alarms_of_this_account_may_publish_and_eventbridge_only_if_admitted(
    package: Package,
) -> None:
    """EventBridge does not name its account reliably, so a condition on it would not hold."""
    policy = package.properties("NotificationsTopicPolicy")
    alarms, eventbridge = policy["PolicyDocument"]["Statement"]

    topic, account = {"Ref": "NotificationsTopic"}, {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}
    assert policy["Topics"] == [topic]
    assert alarms == {
        "Sid": "AlarmsOfThisAccount",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Condition": {"StringEquals": account},
        **publish,
    }
    rule = {"Sid": "EventBridge", "Principal": {"Service": "events.amazonaws.com"}, **publish}
    assert eventbridge == {"Fn::If": ["EventBridgePublishes", rule, {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize(
    ("parameter", "default", "condition", "test"),
    [
        ("AlarmTopicArn", "", "HasAlarmTopic", {"Fn::Not": [{"Fn::Equals": ["", ""]}]}),
        (
            "NotifyReservedConcurrency",
            "",
            "ReservesNotify",
            {"Fn::Not": [{"Fn::Equals": ["", ""]}]},
        ),
        ("EventBridgeMayPublish", "no", "EventBridgePublishes", {"Fn::Equals": ["no", "yes"]}),
        ("LogClosedConnections", "no", "LogsClosedConnections", {"Fn::Equals": ["no", "yes"]}),
    ],
)
def test_an_option_is_off_unless_a_parameter_turns_it_on(
    package: Package, parameter: str, default: str, condition: str, test: Mapping[str, Any]
) -> None:
    """A stack needs no parameter but its stage."""
    assert package.template["Parameters"][parameter]["Default"] == default
    defined = json.dumps(package.template["Conditions"][condition])
    assert json.loads(defined.replace(f'{{"Ref": "{parameter}"}}', f'"{default}"')) == test


def test_a_failed_notification_goes_to_a_queue(package: Package) -> None:
    """After two retries Lambda sends the event to a queue that keeps it for two weeks."""
    config = package.properties("NotifyInvokeConfig")
    queue = package.properties("FailedNotifications")

    assert (config["FunctionName"], config["Qualifier"]) == ({"Ref": "Notify"}, "$LATEST")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 1800)
    destination = {"Fn::GetAtt": ["FailedNotifications", "Arn"]}
    assert config["DestinationConfig"] == {"OnFailure": {"Destination": destination}}
    assert queue["QueueName"] == {"Fn::Sub": "IncidentNotificationsFailed-${Stage}"}
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    assert queue["MaximumMessageSize"] == 1024**2, "the largest event of an asynchronous invocation"
    assert queue["SqsManagedSseEnabled"] is True


def test_sns_may_dead_letter_to_the_queue(package: Package) -> None:
    """SNS does so when Lambda refuses the event, such as after a lost permission."""
    policy = package.properties("FailedNotificationsPolicy")

    assert policy["Queues"] == [{"Ref": "FailedNotifications"}]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "UndeliveredBySns",
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": {"Fn::GetAtt": ["FailedNotifications", "Arn"]},
            "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "NotificationsTopic"}}},
        }
    ]


def test_a_failed_sweep_is_left_to_the_next_run(package: Package) -> None:
    """A retry, or an event that waited, would run beside it."""
    config = package.properties("SweepInvokeConfig")
    assert (config["FunctionName"], config["Qualifier"]) == ({"Ref": "Sweep"}, "$LATEST")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 300)


def test_notify_reserves_concurrency_only_if_told(package: Package) -> None:
    """An account with a quota of ten refuses any reservation."""
    reserved = [
        (name, package.properties(name)["ReservedConcurrentExecutions"])
        for name in FUNCTIONS
        if "ReservedConcurrentExecutions" in package.properties(name)
    ]
    value = {"Ref": "NotifyReservedConcurrency"}
    assert reserved == [("Notify", {"Fn::If": ["ReservesNotify", value, {"Ref": "AWS::NoValue"}]})]


def test_no_function_reaches_the_connections_of_another_api(package: Package) -> None:
    """The policy files cannot name the API, so the stack denies all other APIs."""
    policy = package.properties("OwnApiOnly")

    roles = {role["Ref"] for role in policy["Roles"]}
    holders = {
        f"{function}Role"
        for function in FUNCTIONS
        if "execute-api:ManageConnections" in json.dumps(package.properties(f"{function}Role"))
    }
    assert roles == holders
    api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${WebsocketAPI}/*"
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Deny",
            "Action": "execute-api:ManageConnections",
            "NotResource": {"Fn::Sub": api},
        }
    ]


def test_an_answer_to_a_message_reaches_the_client(package: Package) -> None:
    """API Gateway sends an answer only if the route has a route response."""
    response = package.properties("WebsocketMessageRouteResponse")
    route = package.properties("WebsocketMessageRoute")

    assert route["RouteResponseSelectionExpression"] == "$default"
    assert response == {
        "ApiId": {"Ref": "WebsocketAPI"},
        "RouteId": {"Ref": "WebsocketMessageRoute"},
        "RouteResponseKey": "$default",
    }


def test_every_environment_variable_is_a_setting(package: Package) -> None:
    """A misspelt name would have no effect."""
    assert environment_of(package.stage).keys() <= {variable.name for variable in VARIABLES}


@pytest.mark.parametrize("handler", ROUTES)
def test_a_route_invokes_its_function(package: Package, handler: str) -> None:
    """Route, integration and permission name the same function."""
    function = {"Ref": f"Websocket{handler}"}
    target = ["integrations", {"Ref": f"Websocket{handler}APIIntegration"}]

    route = package.properties(f"Websocket{handler}Route")
    integration = package.properties(f"Websocket{handler}APIIntegration")
    permission = package.properties(f"Websocket{handler}InvokePermission")

    assert route["RouteKey"] == ROUTES[handler]
    assert route["Target"] == {"Fn::Join": ["/", target]}
    assert integration["IntegrationType"] == "AWS_PROXY"
    assert integration["IntegrationUri"]["Fn::Sub"][1] == {"WebsocketHandler": function}
    assert permission["FunctionName"] == function
    assert permission["Principal"] == "apigateway.amazonaws.com"


def test_a_route_change_reaches_the_stage(package: Package) -> None:
    """The stage deploys changes by itself instead of keeping Chalice's one deployment."""
    stage = package.template["Resources"]["WebsocketAPIStage"]
    assert stage["Properties"]["StageName"] == package.stage
    assert stage["Properties"]["AutoDeploy"] is True
    assert stage["Properties"]["DeploymentId"] == {"Ref": "AWS::NoValue"}
    # The deployment depends on the routes, so the stage never starts without them.
    assert stage["DependsOn"] == ["WebsocketAPIDeployment", "WebsocketMessageRouteResponse"]
    deployment = package.template["Resources"]["WebsocketAPIDeployment"]
    assert set(deployment["DependsOn"]) == {f"Websocket{handler}Route" for handler in ROUTES}


def test_the_stage_is_throttled(package: Package) -> None:
    """API Gateway refuses handshakes above the rate; dev has a lower one than prod."""
    settings = package.properties("WebsocketAPIStage")["DefaultRouteSettings"]
    rate = package.stage_value(settings["ThrottlingRateLimit"])
    burst = package.stage_value(settings["ThrottlingBurstLimit"])
    assert (rate, burst) == {"dev": (50, 100), "prod": (500, 1000)}[package.stage]


def test_the_stage_logs_each_request_as_json(package: Package) -> None:
    """The access log has the connection and the outcome, in a log group of its own."""
    stage = package.properties("WebsocketAPIStage")
    group = package.properties("AccessLogGroup")

    line = json.loads(stage["AccessLogSettings"]["Format"])

    assert {"requestId", "connectionId", "eventType", "routeKey", "status"} <= line.keys()
    assert all(value.startswith("$context.") for value in line.values())
    destination = stage["AccessLogSettings"]["DestinationArn"]["Fn::Sub"]
    assert destination.endswith(":log-group:${AccessLogGroup}")
    assert group["LogGroupName"] == {"Fn::Sub": "/aws/apigateway/incident-websocket-${Stage}"}
    assert package.stage_value(group["RetentionInDays"]) == LOG_DAYS[package.stage]


def test_an_example_rule_logs_the_events(package: Package) -> None:
    """The rule matches the events that the code publishes, and its log group accepts them.

    It is off by default, because it takes one of the account's ten resource policies for logs.
    """
    for name in ("ClosedRule", "ClosedLogGroup", "ClosedLogPolicy"):
        assert package.template["Resources"][name]["Condition"] == "LogsClosedConnections"
    rule = package.properties("ClosedRule")
    group = package.properties("ClosedLogGroup")
    policy = package.properties("ClosedLogPolicy")

    assert package.properties("EventBus")["Name"] == {"Fn::Sub": "IncidentWebSocket-${Stage}"}
    assert rule["EventBusName"] == {"Ref": "EventBus"}
    assert rule["EventPattern"] == {
        "source": [announcements.SOURCE],
        "detail-type": [endings.DETAIL_TYPE],
    }
    [target] = rule["Targets"]
    arn = target["Arn"]["Fn::Sub"]
    assert arn.endswith(":log-group:${ClosedLogGroup}")
    assert group["LogGroupName"] == {"Fn::Sub": "/aws/events/incident-websocket-${Stage}"}
    assert package.stage_value(group["RetentionInDays"]) == LOG_DAYS[package.stage]
    [statement] = json.loads(policy["PolicyDocument"]["Fn::Sub"])["Statement"]
    assert statement["Resource"] == f"{arn}:*"
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert "events.amazonaws.com" in statement["Principal"]["Service"]
    assert package.template["Resources"]["ClosedRule"]["DependsOn"] == "ClosedLogPolicy"


def test_the_outputs_name_the_resources_and_the_address(package: Package) -> None:
    """Clients and pipelines need them."""
    outputs = {name: output["Value"] for name, output in package.template["Outputs"].items()}
    assert outputs["ConnectionsTableName"] == {"Ref": "ConnectionsTable"}
    assert outputs["ConnectionsTableArn"] == {"Fn::GetAtt": ["ConnectionsTable", "Arn"]}
    assert outputs["EventBusName"] == {"Ref": "EventBus"}
    assert outputs["NotificationsTopicArn"] == {"Ref": "NotificationsTopic"}
    assert outputs["FailedNotificationsUrl"] == {"Ref": "FailedNotifications"}
    url = outputs["WebsocketConnectEndpointURL"]["Fn::Sub"]
    assert url.startswith("wss://${WebsocketAPI}.")
    assert url.endswith(f"/{package.stage}/")


def test_the_zip_contains_only_the_application_and_the_pinned_packages(package: Package) -> None:
    """No AWS SDK, no tests, no tools: a small zip starts fast."""
    path = package.folder / "deployment.zip"

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()

    first = {Path(name).parts[0] for name in names}
    modules = {name.partition(".")[0] for name in first if not name.endswith(".dist-info")}
    assert modules == SHIPPED
    assert {n for n in names if n.startswith("chalice/")} == {
        "chalice/__init__.py",
        "chalice/app.py",
    }
    assert path.stat().st_size <= MAX_ZIP_BYTES
    shipped = {name.removesuffix(".dist-info") for name in first if name.endswith(".dist-info")}
    pins = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert shipped == {f"{name.lower().replace('-', '_')}-{version}" for name, version in pins}


def test_compiled_libraries_fit_lambda_on_arm64(package: Package) -> None:
    """The machine that packages them does not matter."""
    with zipfile.ZipFile(package.folder / "deployment.zip") as archive:
        wheels = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        tags = [tag for wheel in wheels for tag in wheel_tags(archive.read(wheel).decode())]
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        heads = [archive.read(name)[:20] for name in libraries]

    assert libraries
    assert {struct.unpack("<4s14xH", head) for head in heads} == {(b"\x7fELF", ARM64)}
    platforms = {tag.rpartition("-")[2] for tag in tags}
    assert {p for p in platforms if not (p.startswith("manylinux") and p.endswith("_aarch64"))} == {
        "any"
    }


def wheel_tags(description: str) -> list[str]:
    """Return the tags of a wheel: Python, ABI and platform."""
    lines = [line.partition(": ") for line in description.splitlines()]
    return [value for name, _, value in lines if name == "Tag"]


def test_the_configured_tables_and_topic_are_those_of_the_resources_file(package: Package) -> None:
    """`chalice deploy` cannot resolve Ref, so config.json repeats the names."""
    environment, parameters = environment_of(package.stage), {"Stage": package.stage}
    tables = load_tables(ROOT / ".chalice" / "resources.json", parameters)
    [topic] = load_topics(ROOT / ".chalice" / "resources.json", parameters).values()

    configured = [environment["CONNECTIONS_TABLE"], environment["HISTORY_TABLE"]]
    assert configured == [table.name for table in tables]
    assert environment["NOTIFICATIONS_TOPIC"] == topic


def test_cfn_lint_accepts_the_template(package: Package) -> None:
    """CloudFormation knows every property, reference and value."""
    linted = cfn_lint(package.folder / "sam.json")
    assert linted.returncode == 0, linted.stdout


def test_the_example_authorizer_decides_about_handshakes_only(
    project: Project, tmp_path: Path
) -> None:
    """It is merged over the template, and cfn-lint accepts the result."""
    merge = ("--merge", ".chalice/authorizer.json", "--out", str(tmp_path))
    project.run("python", "-m", "provision.package", "--stage", "dev", *merge)

    resources = json.loads((tmp_path / "sam.json").read_text())["Resources"]

    routes = {n: r["Properties"] for n, r in resources.items() if r["Type"].endswith("V2::Route")}
    authorized = {name for name, route in routes.items() if "AuthorizerId" in route}
    assert authorized == {"WebsocketConnectRoute"}
    assert routes["WebsocketConnectRoute"]["RouteKey"] == "$connect"
    linted = cfn_lint(tmp_path / "sam.json")
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
    """An unknown property and a dangling reference fail the check above."""
    template = json.loads((package.folder / "sam.json").read_text())
    template["Resources"][resource]["Properties"] |= properties
    broken = tmp_path / "sam.json"
    broken.write_text(json.dumps(template))
    assert cfn_lint(broken).returncode != 0
