"""`chalice deploy`, as documented, against a moto server (see conftest for what it lacks)."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.deployment.conftest import Aws, Deployment, Project

pytestmark = pytest.mark.proof

STAGE = "dev"
TABLE = "IncidentWebSocketConnections-dev"
BUS = "IncidentWebSocket-dev"
TOPIC = "IncidentNotifications-dev"
HANDLERS = {
    "incident-websocket-dev-websocket_connect": "dev-connect.json",
    "incident-websocket-dev-websocket_disconnect": "dev-disconnect.json",
    "incident-websocket-dev-websocket_message": "dev-message.json",
}
ROUTES = {"$connect": "connect", "$disconnect": "disconnect", "$default": "message"}
SWEEP = "incident-websocket-dev-sweep"
NOTIFY = "incident-websocket-dev-notify"
FUNCTIONS = {
    **HANDLERS,
    "incident-websocket-dev-connections": "dev-connections.json",
    "incident-websocket-dev-close": "dev-close.json",
    SWEEP: "dev-sweep.json",
    NOTIFY: "dev-notify.json",
}
# Those that a handshake does not wait for, in s.
TIMEOUTS = {
    "incident-websocket-dev-connections": 30,
    "incident-websocket-dev-close": 30,
    SWEEP: 240,
    NOTIFY: 900,
}
MEMORY = {NOTIFY: 1769}  # MB
MESSAGE_HANDLER = re.compile(r"@app\.on_ws_message\(\)\n.+?\n\n\n", re.DOTALL)


@dataclass(frozen=True)
class Account:
    """What is there after a command, as AWS itself lists it."""

    functions: Mapping[str, Mapping[str, Any]]
    function_policies: Mapping[str, str]
    roles: Mapping[str, Mapping[str, Any]]
    apis: Mapping[str, str]
    routes: Mapping[str, str]
    stages: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    log_retention: Mapping[str, int | None]
    schedules: Mapping[str, tuple[str, list[str]]]
    subscriptions: tuple[tuple[str, str, str], ...]
    tables: tuple[str, ...]
    buses: tuple[str, ...]
    topics: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class History:
    """The account after each command of a deployment's life, and what the first one printed."""

    printed: str
    deployed: Account
    redeployed: Account
    new_route: Account
    released: Account
    deleted: Account


@pytest.fixture(scope="module")
def history(project: Project, aws: Aws) -> History:
    """Run in order: deploy, the same again, one route less, it is back, its release, delete."""
    app = project.folder / "app.py"
    whole = app.read_text()
    without_message, found = MESSAGE_HANDLER.subn("", whole)
    assert found == 1

    def run(*command: str) -> str:
        return project.run(*command, "--stage", STAGE, environment=aws.environment)

    printed = run("python", "-m", "provision")
    run("chalice", "deploy")
    run("python", "-m", "provision.release")
    deployed = look(aws)
    run("python", "-m", "provision")
    run("chalice", "deploy")
    run("python", "-m", "provision.release")
    redeployed = look(aws)
    app.write_text(without_message)
    run("chalice", "deploy")
    run("python", "-m", "provision.release")
    app.write_text(whole)
    run("chalice", "deploy")
    new_route = look(aws)
    run("python", "-m", "provision.release")
    released = look(aws)
    run("chalice", "delete")
    return History(printed, deployed, redeployed, new_route, released, look(aws))


def look(aws: Aws) -> Account:
    """Ask each service what it has."""
    lambda_, gateway = aws.client("lambda"), aws.client("apigatewayv2")
    functions = {f["FunctionName"]: f for f in lambda_.list_functions()["Functions"]}
    apis = {api["ApiId"]: api["Name"] for api in gateway.get_apis()["Items"]}
    stages = [s for api in apis for s in gateway.get_stages(ApiId=api)["Items"]]
    groups = aws.client("logs").describe_log_groups()["logGroups"]
    events, sns = aws.client("events"), aws.client("sns")
    return Account(
        functions=functions,
        function_policies=dict(look_at_permissions(lambda_, functions)),
        roles=look_at_roles(aws),
        apis=apis,
        routes={key: uri for api in apis for key, uri in look_at_routes(gateway, api)},
        stages=tuple(stage["StageName"] for stage in stages),
        deployments=tuple(aws.deployments),
        log_retention={g["logGroupName"]: g.get("retentionInDays") for g in groups},
        schedules={
            rule["Name"]: look_at_schedule(events, rule) for rule in events.list_rules()["Rules"]
        },
        subscriptions=tuple(
            (s["TopicArn"], s["Protocol"], s["Endpoint"])
            for s in sns.list_subscriptions()["Subscriptions"]
        ),
        tables=tuple(aws.client("dynamodb").list_tables()["TableNames"]),
        buses=tuple(bus["Name"] for bus in events.list_event_buses()["EventBuses"]),
        topics={
            topic["TopicArn"]: sns.get_topic_attributes(**topic)["Attributes"]
            for topic in sns.list_topics()["Topics"]
        },
    )


def look_at_permissions(lambda_: Any, functions: Iterable[str]) -> Iterator[tuple[str, str]]:
    """List who may invoke each function that anybody may invoke."""
    for name in functions:
        with contextlib.suppress(lambda_.exceptions.ResourceNotFoundException):
            yield name, lambda_.get_policy(FunctionName=name)["Policy"]


def look_at_schedule(events: Any, rule: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Give when a rule runs, and what."""
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    return rule["ScheduleExpression"], [target["Arn"] for target in targets]


def look_at_roles(aws: Aws) -> dict[str, dict[str, Any]]:
    """List the policies of each role under the role's ARN."""
    iam = aws.client("iam")
    return {
        role["Arn"]: {
            name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        }
        for role in iam.list_roles()["Roles"]
    }


def look_at_routes(gateway: Any, api: str) -> list[tuple[str, str]]:
    """List each route with the address of the integration that it leads to."""
    integrations = {
        f"integrations/{integration['IntegrationId']}": integration["IntegrationUri"]
        for integration in gateway.get_integrations(ApiId=api)["Items"]
    }
    routes = gateway.get_routes(ApiId=api)["Items"]
    assert len(routes) == len(integrations), "an integration is left over"
    return [(route["RouteKey"], integrations[route["Target"]]) for route in routes]


def test_provision_makes_the_table_the_bus_and_the_topic_and_says_so(history: History) -> None:
    """They are there before the functions, made from the resources file."""
    assert history.deployed.tables == (TABLE,)
    assert history.deployed.buses == ("default", BUS)
    assert f"created event bus {BUS}" in history.printed
    assert f"created table {TABLE}" in history.printed
    assert f"enabled time to live of table {TABLE} on attribute ttl" in history.printed
    [arn] = history.deployed.topics
    assert arn.endswith(f":{TOPIC}")
    assert f"topic {TOPIC} exists" in history.printed


def test_deploy_creates_the_functions_as_configured(history: History, project: Project) -> None:
    """Memory, timeout, architecture and environment are those of config.json."""
    # GIVEN
    config = json.loads((project.folder / ".chalice" / "config.json").read_text())

    # WHEN
    functions = history.deployed.functions

    # THEN
    assert functions.keys() == FUNCTIONS.keys()
    for name, function in functions.items():
        environment = config["stages"][STAGE]["environment_variables"]
        assert function["Environment"]["Variables"] == environment
        assert environment["CONNECTIONS_TABLE"] == TABLE
        assert environment["NOTIFICATIONS_TOPIC"] == TOPIC
        assert function["MemorySize"] == MEMORY.get(name, config["lambda_memory_size"])
        assert function["Timeout"] == TIMEOUTS.get(name, config["lambda_timeout"])
        assert function["Architectures"] == [config["lambda_architecture"]]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_deploy_gives_each_function_a_role_with_its_own_policy(
    history: History, project: Project, function: str
) -> None:
    """A role has one policy, which is the function's file, and serves that function alone."""
    # GIVEN
    file = project.folder / ".chalice" / "policies" / FUNCTIONS[function]

    # WHEN
    role = history.deployed.functions[function]["Role"]

    # THEN
    assert list(history.deployed.roles[role].values()) == [json.loads(file.read_text())]
    assert len({f["Role"] for f in history.deployed.functions.values()}) == len(FUNCTIONS)
    assert len(history.deployed.roles) == len(FUNCTIONS)


def test_deploy_leads_each_route_to_its_function(history: History) -> None:
    """$connect, $disconnect and $default each lead to their own function, on the stage dev."""
    # GIVEN
    functions = history.deployed.functions

    # WHEN
    routes = history.deployed.routes

    # THEN
    assert routes.keys() == ROUTES.keys()
    for key, uri in routes.items():
        arn = functions[f"incident-websocket-dev-websocket_{ROUTES[key]}"]["FunctionArn"]
        assert uri.endswith(f":lambda:path/2015-03-31/functions/{arn}/invocations")
    assert list(history.deployed.apis.values()) == ["incident-websocket-dev-websocket-api"]
    assert history.deployed.stages == (STAGE,)


@pytest.mark.parametrize("function", HANDLERS)
def test_deploy_lets_only_this_api_invoke_the_handlers(history: History, function: str) -> None:
    """API Gateway may invoke the function, for this one API."""
    # GIVEN
    [api_id] = history.deployed.apis

    # WHEN
    [statement] = json.loads(history.deployed.function_policies[function])["Statement"]

    # THEN
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Action"] == "lambda:InvokeFunction"
    assert f":{api_id}/" in json.dumps(statement["Condition"])


def test_deploy_schedules_the_sweep(history: History) -> None:
    """A rule runs it every five minutes and may invoke it; nobody else's rule may."""
    # WHEN
    [(rule, schedule)] = history.deployed.schedules.items()
    [statement] = json.loads(history.deployed.function_policies[SWEEP])["Statement"]

    # THEN
    arn = history.deployed.functions[SWEEP]["FunctionArn"]
    assert schedule == ("rate(5 minutes)", [arn])
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "lambda:InvokeFunction"
    assert f":rule/{rule}" in json.dumps(statement["Condition"])


def test_deploy_subscribes_notify_to_the_topic(history: History) -> None:
    """What is published there invokes the function; no other topic may."""
    # WHEN
    [subscription] = history.deployed.subscriptions
    [statement] = json.loads(history.deployed.function_policies[NOTIFY])["Statement"]

    # THEN
    [topic] = history.deployed.topics
    assert subscription == (topic, "lambda", history.deployed.functions[NOTIFY]["FunctionArn"])
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Action"] == "lambda:InvokeFunction"
    assert topic in json.dumps(statement["Condition"])


def test_the_topic_takes_what_alarms_and_rules_publish(history: History) -> None:
    """Its policy is the one of the resources file, for this topic and this account."""
    # GIVEN
    [(arn, attributes)] = history.deployed.topics.items()
    account = arn.split(":")[4]

    # WHEN
    statements = json.loads(attributes["Policy"])["Statement"]

    # THEN
    services = {"cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert {s["Principal"]["Service"] for s in statements} == services
    for statement in statements:
        assert (statement["Action"], statement["Resource"]) == ("sns:Publish", arn)
        assert list(statement["Condition"].values()) == [{"aws:SourceAccount": account}]


def test_a_release_lets_answers_reach_the_client(history: History) -> None:
    """Of the routes that the stage serves, the one of messages passes its answers on."""
    for account in (history.deployed, history.redeployed, history.released):
        assert account.deployments[-1].answering == {"$default"}


def test_deploy_lets_no_service_invoke_what_people_invoke(history: History) -> None:
    """`connections` and `close` are for those whose own role allows it."""
    assert history.deployed.function_policies.keys() == {*HANDLERS, SWEEP, NOTIFY}


def test_deploy_sets_the_retention_of_the_logs(history: History) -> None:
    """Each function has its log group, kept for two weeks on dev."""
    groups = {f"/aws/lambda/{function}": 14 for function in FUNCTIONS}
    assert history.deployed.log_retention == groups


def test_redeploy_doubles_nothing(history: History) -> None:
    """A second deployment of the same code leaves one of each thing, as it was."""
    # GIVEN
    before, after = history.deployed, history.redeployed

    # THEN
    for what in (
        "apis",
        "routes",
        "stages",
        "roles",
        "log_retention",
        "schedules",
        "subscriptions",
        "tables",
        "buses",
        "topics",
    ):
        assert getattr(after, what) == getattr(before, what), what
    assert after.function_policies.keys() == before.function_policies.keys()
    for name, function in before.functions.items():
        for setting in ("Role", "Environment", "MemorySize", "Timeout", "Architectures"):
            assert after.functions[name][setting] == function[setting]
    for policy in after.function_policies.values():
        assert len(json.loads(policy)["Statement"]) == 1


def test_a_new_route_is_served_once_released(history: History) -> None:
    """Chalice writes a new route but serves the old snapshot; the release takes a new one."""
    # GIVEN
    [api_id] = history.released.apis
    written, released = history.new_route, history.released

    # THEN
    assert written.routes.keys() == ROUTES.keys()
    assert written.deployments[-1].routes == {"$connect", "$disconnect"}
    newest = released.deployments[-1]
    assert (newest.api_id, newest.stage) == (api_id, STAGE)
    assert newest.routes == released.routes.keys()


def test_delete_leaves_what_chalice_did_not_make_and_the_logs(history: History) -> None:
    """Table, bus and topic outlive the functions; the logs that are left never expire."""
    released, deleted = history.released, history.deleted
    assert not deleted.functions
    assert not deleted.roles
    assert not deleted.apis
    assert not deleted.schedules
    assert not deleted.subscriptions
    assert deleted.tables == (TABLE,)
    assert deleted.buses == ("default", BUS)
    assert deleted.topics.keys() == released.topics.keys()
    assert deleted.log_retention == dict.fromkeys(released.log_retention)
