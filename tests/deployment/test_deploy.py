"""`chalice deploy`, as documented, to an AWS on this machine, with clients that connect to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.acceptance import accept
from tests.support.ministack import DIFFERENCES, use_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.deployment.conftest import Project
    from tests.support.acceptance import Accepted
    from tests.support.ministack import Ministack

pytestmark = pytest.mark.proof

STAGE = "dev"
TABLE = "IncidentWebSocketConnections-dev"
HISTORY = "IncidentWebSocketHistory-dev"
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
UNCLAIMED = "incident-websocket-dev-unclaimed"
FUNCTIONS = {
    **HANDLERS,
    "incident-websocket-dev-connections": "dev-connections.json",
    "incident-websocket-dev-close": "dev-close.json",
    SWEEP: "dev-sweep.json",
    NOTIFY: "dev-notify.json",
    UNCLAIMED: "dev-unclaimed.json",
}
# In s; all others have the 10 s of a handshake.
TIMEOUTS = {
    "incident-websocket-dev-connections": 30,
    "incident-websocket-dev-close": 30,
    SWEEP: 240,
    NOTIFY: 900,
    UNCLAIMED: 30,
}
MEMORY = {NOTIFY: 1769}  # MB
# What no deployment may be without.
BEHAVIOUR = {
    *("handshake", "row", "ttl", "metadata", "index", "no-row-after-refusal", "ping"),
    *("unknown-message", "large-message", "connections", "notify-some", "notify-large", "kick"),
    *("disconnect", "sweep-dry-run", "routes", "route-response", "functions", "table"),
    *("subscription", "schedule", "log-groups", "cleanup"),
}
MESSAGE_HANDLER = re.compile(r"@app\.on_ws_message\(\)\n.+?\n\n\n", re.DOTALL)


@dataclass(frozen=True)
class Account:
    """What an account contains, as AWS lists it."""

    functions: Mapping[str, Mapping[str, Any]]
    function_policies: Mapping[str, str]
    roles: Mapping[str, Mapping[str, Any]]
    apis: Mapping[str, str]
    routes: Mapping[str, str]
    stages: tuple[str, ...]
    deployments: int
    responses: frozenset[str]
    log_retention: Mapping[str, int | None]
    schedules: Mapping[str, tuple[str, list[str]]]
    subscriptions: tuple[tuple[str, str, str], ...]
    tables: tuple[str, ...]
    buses: tuple[str, ...]
    topics: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class History:
    """The account at each step of a deployment's life, and what commands printed.

    The first deployment has no message handler; the second adds it.
    """

    printed: str
    deployed: Account
    new_route: Account
    released: Account
    accepted: Accepted
    deleted: Account


@pytest.fixture(scope="module")
def history(project: Project, aws: Ministack) -> History:
    """Deploy, add a route, release it, check the stage from outside, delete the deployment."""
    app = project.folder / "app.py"
    whole = app.read_text()
    without_message, found = MESSAGE_HANDLER.subn("", whole)
    assert found == 1
    use_here(project.folder)

    def run(*command: str) -> str:
        return project.run(*command, "--stage", STAGE, environment=aws.environment)

    app.write_text(without_message)
    printed = run("python", "-m", "provision")
    run("chalice", "deploy")
    run("python", "-m", "provision.release")
    deployed = look(aws)
    [api_id] = deployed.apis
    use_here(project.folder, f"http://{aws.stage(api_id, STAGE)}")
    app.write_text(whole)
    run("python", "-m", "provision")
    run("chalice", "deploy")
    new_route = look(aws)
    run("python", "-m", "provision.release")
    released = look(aws)
    accepted = accept(
        f"--stage={STAGE}",
        f"--project={project.folder}",
        f"--url=ws://{aws.stage(api_id, STAGE)}",
        environment=aws.environment,
        skip=DIFFERENCES,
    )
    run("chalice", "delete")
    return History(printed, deployed, new_route, released, accepted, look(aws))


def look(aws: Ministack) -> Account:
    """List what each service contains."""
    lambda_, gateway = aws.client("lambda"), aws.client("apigatewayv2")
    functions = {f["FunctionName"]: f for f in lambda_.list_functions()["Functions"]}
    apis = {api["ApiId"]: api["Name"] for api in gateway.get_apis()["Items"]}
    stages = [s for api in apis for s in gateway.get_stages(ApiId=api)["Items"]]
    routes = [(api, r) for api in apis for r in gateway.get_routes(ApiId=api)["Items"]]
    groups = aws.client("logs").describe_log_groups()["logGroups"]
    events, sns = aws.client("events"), aws.client("sns")
    return Account(
        functions=functions,
        function_policies=dict(look_at_permissions(lambda_, functions)),
        roles=look_at_roles(aws),
        apis=apis,
        routes={key: uri for api in apis for key, uri in look_at_routes(gateway, api)},
        stages=tuple(stage["StageName"] for stage in stages),
        deployments=sum(len(gateway.get_deployments(ApiId=api)["Items"]) for api in apis),
        responses=frozenset(
            route["RouteKey"]
            for api, route in routes
            if gateway.get_route_responses(ApiId=api, RouteId=route["RouteId"])["Items"]
        ),
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
    """List the policy of each function that has one."""
    for name in functions:
        policy = lambda_.get_policy(FunctionName=name)["Policy"]
        if json.loads(policy)["Statement"]:
            yield name, policy


def look_at_schedule(events: Any, rule: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the schedule of a rule and the ARNs of its targets."""
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    return rule["ScheduleExpression"], [target["Arn"] for target in targets]


def look_at_roles(aws: Ministack) -> dict[str, dict[str, Any]]:
    """List the policies of each role by the role's ARN."""
    iam = aws.client("iam")
    return {
        role["Arn"]: {
            name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        }
        for role in iam.list_roles()["Roles"]
    }


def look_at_routes(gateway: Any, api: str) -> list[tuple[str, str]]:
    """List each route with the URI of its integration."""
    integrations = {
        f"integrations/{integration['IntegrationId']}": integration["IntegrationUri"]
        for integration in gateway.get_integrations(ApiId=api)["Items"]
    }
    routes = gateway.get_routes(ApiId=api)["Items"]
    assert len(routes) == len(integrations), "an integration is left over"
    return [(route["RouteKey"], integrations[route["Target"]]) for route in routes]


def test_provision_creates_the_tables_the_bus_the_topic_and_the_queues(history: History) -> None:
    """They exist before the functions, as the resources file defines them, and the log says so."""
    assert history.deployed.tables == (TABLE, HISTORY)
    assert history.deployed.buses == ("default", BUS)
    [arn] = history.deployed.topics
    assert arn.endswith(f":{TOPIC}")
    assert history.printed.splitlines() == [
        f"created table {TABLE}",
        f"enabled time to live of table {TABLE} on attribute ttl",
        f"enabled point-in-time recovery of table {TABLE}",
        f"created table {HISTORY}",
        f"enabled time to live of table {HISTORY} on attribute ttl",
        f"created event bus {BUS}",
        f"topic {TOPIC} exists",
        f"updated the policy of topic {arn}",
        "created queue IncidentNotificationsFailed-dev",
        "created queue IncidentUnclaimed-dev",
    ]


def test_deploy_creates_the_functions_as_configured(history: History, project: Project) -> None:
    """Memory, timeout, architecture and environment come from config.json."""
    config = json.loads((project.folder / ".chalice" / "config.json").read_text())
    environment = config["stages"][STAGE]["environment_variables"]

    assert environment["CONNECTIONS_TABLE"] == TABLE
    assert environment["NOTIFICATIONS_TOPIC"] == TOPIC
    assert history.released.functions.keys() == FUNCTIONS.keys()
    for name, function in history.released.functions.items():
        assert function["Environment"]["Variables"] == environment
        assert function["MemorySize"] == MEMORY.get(name, config["lambda_memory_size"])
        assert function["Timeout"] == TIMEOUTS.get(name, config["lambda_timeout"])
        assert function["Architectures"] == [config["lambda_architecture"]]


def test_each_function_has_its_own_role_with_its_own_policy(
    history: History, project: Project
) -> None:
    """The role's only policy is the function's file."""
    policies = project.folder / ".chalice" / "policies"

    found = {
        name: list(history.released.roles[function["Role"]].values())
        for name, function in history.released.functions.items()
    }

    assert found == {
        name: [json.loads((policies / file).read_text())] for name, file in FUNCTIONS.items()
    }
    assert len(history.released.roles) == len(FUNCTIONS)


def test_each_route_invokes_its_function(history: History) -> None:
    """One API with one stage has the three routes, each with an integration of its own."""
    deployed = history.released

    assert deployed.routes.keys() == ROUTES.keys()
    for key, uri in deployed.routes.items():
        function = f"incident-websocket-dev-websocket_{ROUTES[key]}"
        arn = deployed.functions[function]["FunctionArn"]
        assert uri.endswith(f":lambda:path/2015-03-31/functions/{arn}/invocations")
    assert list(deployed.apis.values()) == ["incident-websocket-dev-websocket-api"]
    assert deployed.stages == (STAGE,)


def test_only_its_own_source_may_invoke_a_function(history: History) -> None:
    """No service may invoke `connections` and `close`; people need a role that may."""
    deployed = history.released
    [api_id], [rule], [topic] = deployed.apis, deployed.schedules, deployed.topics
    sources = {
        **dict.fromkeys(HANDLERS, ("apigateway", f":{api_id}/")),
        SWEEP: ("events", f":rule/{rule}"),
        NOTIFY: ("sns", topic),
    }

    assert deployed.function_policies.keys() == sources.keys()
    for function, (service, source) in sources.items():
        [statement] = json.loads(deployed.function_policies[function])["Statement"]
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Action"] == "lambda:InvokeFunction"
        assert source in json.dumps(statement["Condition"])


def test_a_rule_runs_the_sweep_and_the_topic_invokes_notify(history: History) -> None:
    """The sweep runs every five minutes; `notify` is the topic's only subscriber."""
    deployed = history.released
    [topic] = deployed.topics
    arns = {name: function["FunctionArn"] for name, function in deployed.functions.items()}

    assert list(deployed.schedules.values()) == [("rate(5 minutes)", [arns[SWEEP]])]
    assert deployed.subscriptions == ((topic, "lambda", arns[NOTIFY]),)


def test_alarms_may_publish_to_the_topic(history: History) -> None:
    """The topic's policy is that of the resources file, for this topic and this account."""
    [(arn, attributes)] = history.deployed.topics.items()
    account = arn.split(":")[4]

    [statement] = json.loads(attributes["Policy"])["Statement"]

    assert statement["Principal"]["Service"] == "cloudwatch.amazonaws.com"
    assert (statement["Action"], statement["Resource"]) == ("sns:Publish", arn)
    assert list(statement["Condition"].values()) == [{"aws:SourceAccount": account}]


def test_a_release_gives_the_default_route_a_route_response(history: History) -> None:
    """Without it, the answer to a ping would not reach the client. Chalice creates none."""
    assert history.new_route.responses == set()
    assert history.released.responses == {"$default"}


def test_deploy_sets_the_retention_of_the_logs(history: History) -> None:
    """Each function has a log group, which keeps its lines for two weeks on dev."""
    groups = {f"/aws/lambda/{function}": 14 for function in FUNCTIONS}
    assert history.released.log_retention == groups


def test_a_second_deployment_changes_only_what_is_new(history: History) -> None:
    """It duplicates nothing and reconfigures nothing but what the project changed."""
    before, after = history.deployed, history.released

    for name in ("apis", "stages", "schedules", "subscriptions", "tables", "buses", "topics"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("routes", "roles", "log_retention", "functions"):
        first, second = getattr(before, name), getattr(after, name)
        assert first.items() <= second.items() or first.keys() < second.keys(), name
    for function, settings in before.functions.items():
        for name in ("Role", "MemorySize", "Timeout", "Architectures"):
            assert after.functions[function][name] == settings[name]
    for policy in after.function_policies.values():
        assert len(json.loads(policy)["Statement"]) == 1


def test_a_new_route_is_served_after_the_release(history: History) -> None:
    """Chalice creates the route but no deployment, which API Gateway needs to serve it.

    ministack serves new routes at once and does not say which deployment a stage serves.
    """
    before, created, released = history.deployed, history.new_route, history.released

    assert before.routes.keys() == {"$connect", "$disconnect"}
    assert created.routes.keys() == ROUTES.keys()
    assert created.deployments == before.deployments
    assert released.deployments == created.deployments + 1


def test_clients_connect_to_what_was_deployed(history: History) -> None:
    """Every check passes, except those that the emulator cannot pass and those for a stack."""
    accepted = history.accepted

    assert accepted.status == 0
    assert accepted.having("failed") == accepted.having("unknown") == {}
    assert accepted.having("passed").keys() >= BEHAVIOUR


def test_delete_keeps_the_tables_the_bus_the_topic_and_the_logs(history: History) -> None:
    """Chalice removes what it created, and the retention of the logs: they no longer expire."""
    released, deleted = history.released, history.deleted

    for name in ("functions", "roles", "apis", "schedules", "subscriptions"):
        assert not getattr(deleted, name), name
    assert deleted.tables == (TABLE, HISTORY)
    assert deleted.buses == ("default", BUS)
    assert deleted.topics.keys() == released.topics.keys()
    assert deleted.log_retention == dict.fromkeys(released.log_retention)
