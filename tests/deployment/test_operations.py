"""Alarms, dashboard, docs/metrics.md, runbook.md and events.md, against the code they describe."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from chalice.local import LambdaContext

from chalicelib.adapters import eventbridge
from chalicelib.adapters.connections_api.calls import Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.domain import admission, errors
from chalicelib.domain.close_causes import Cause, Ending, cause_of
from chalicelib.domain.connection import Connection
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.notification import MAX_ENVELOPE_BYTES
from chalicelib.domain.rows import to_item
from chalicelib.domain.unclaimed import Queued, Waiting, Why
from chalicelib.handlers import unclaimed
from chalicelib.services import endings
from chalicelib.services.delivery import DeliveryOutcome
from chalicelib.telemetry.metrics import NAMESPACE, SERVICE, Metric
from tests.conftest import HISTORY, TABLE
from tests.deployment.conftest import ROOT
from tests.support.connections import tracked
from tests.support.events import CONNECTION_ID, connect_event, disconnect_event
from tests.support.notifications import sns_event
from tests.support.sqs import sqs_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.adapters.connections_api.calls import Call, OnReply
    from tests.conftest import Wire

STAGE = "dev"
OURS = {"service": SERVICE, "stage": STAGE}
TEMPLATE = json.loads((ROOT / ".chalice" / "resources.json").read_text())
METRICS, RUNBOOK, EVENTS = (
    (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("metrics.md", "runbook.md", "events.md")
)
SEARCH = re.compile(r"""SEARCH\('\{([^}]+)} (.*) MetricName="(\w+)"', '(\w+)', \d+\)""")


@dataclass(frozen=True)
class Series:
    """A metric with its dimensions; `*` stands for any value."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
        """Return the series for dimensions in any order."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


def resolved(value: Any) -> Any:
    """Resolve a value of the template for the stage; a resource becomes its logical id."""
    match value:
        case {"Ref": name}:
            return STAGE if name == "Stage" else name
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": text}:
            names = {"Stage": STAGE, "AWS::Region": "eu-west-1"}
            return re.sub(
                r"\$\{(!?)([^}]+)}",
                lambda m: f"${{{m[2]}}}" if m[1] else names.get(m[2], m[2].removesuffix(".Arn")),
                text,
            )
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(part) for part in resolved(parts))
        case dict():
            return {name: resolved(item) for name, item in value.items()}
        case list():
            return [resolved(item) for item in value]
        case _:
            return value


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of every resource of a kind by its logical id."""
    return {
        name: resolved(resource["Properties"])
        for name, resource in TEMPLATE["Resources"].items()
        if resource.get("Type") == kind
    }


ALARMS = resources("AWS::CloudWatch::Alarm")
[DASHBOARD] = resources("AWS::CloudWatch::Dashboard").values()
BODY = json.loads(DASHBOARD["DashboardBody"])


def series_of_alarm(alarm: Mapping[str, Any]) -> dict[str, Series]:
    """Return the series that an alarm watches by their names in its expression."""
    stats = {
        m["Id"]: m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m
    }
    return {
        name: Series.of(
            metric["Namespace"],
            metric["MetricName"],
            {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]},
        )
        for name, metric in (stats or {"": alarm}).items()
    }


def series_of_dashboard() -> Iterator[Series]:
    """Return the series that the dashboard draws."""
    for widget in BODY["widgets"]:
        for entry in widget["properties"].get("metrics", []):
            if isinstance(entry[0], dict):
                yield searched(entry[0]["expression"])
            else:
                yield drawn(entry)


def drawn(entry: list[Any]) -> Series:
    """Parse a metric of a dashboard."""
    namespace, name, *rest = [part for part in entry if isinstance(part, str)]
    return Series.of(namespace, name, dict(zip(rest[::2], rest[1::2], strict=True)))


def searched(expression: str) -> Series:
    """Parse a SEARCH expression; a dimension without a value is `*`."""
    found = SEARCH.fullmatch(expression)
    assert found, expression
    namespace, *names = found[1].split(",")
    fixed = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
    assert fixed.keys() <= set(names)
    return Series.of(namespace, found[3], dict.fromkeys(names, "*") | fixed)


WATCHED = {series for alarm in ALARMS.values() for series in series_of_alarm(alarm).values()}
DRAWN = set(series_of_dashboard())


def emitted(lines: list[dict[str, Any]]) -> set[Series]:
    """Return the metrics in log lines as CloudWatch reads them."""
    return {
        Series.of(directive["Namespace"], metric["Name"], {name: line[name] for name in dimensions})
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
        for dimensions in directive["Dimensions"]
        if isinstance(line[metric["Name"]], int | float)
    }


@pytest.fixture
def lines(
    dynamodb: DynamoDBClient,
    invoke: Callable[..., Any],
    wire: Wire,
    logged: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[dict[str, Any]]:
    """Make every function emit each of its metrics and return the log lines."""
    invoke("connect", connect_event())
    invoke("connect", connect_event("refused=", query={"clientId": [""]}))
    wire.errors["GetItem"] = (500, "InternalServerError")
    invoke("connect", connect_event("unverified="))
    wire.errors.clear()
    invoke("disconnect", disconnect_event(), EVENT_BUS="NoSuchBus")
    invoke("connections", {}, CONNECTIONS_TABLE="NoSuchTable")
    orphan = Connection("orphan=", created_at=1, ttl=2)
    dynamodb.put_item(TableName=TABLE, Item=to_item(orphan))
    # Chalice's client gives every function 3 s; a sweep reserves more than that for its end.
    context = functools.partial(LambdaContext, max_runtime_ms=60_000)
    monkeypatch.setattr("chalice.test.LambdaContext", context)
    invoke("sweep", {})
    notify(dynamodb, invoke, monkeypatch)
    use_history(dynamodb, invoke, wire)
    queued = Queued("id", 1, None, "hello", receipt=False, clients=(Waiting("ada", None, False),))
    invoke("unclaimed", sqs_event(queued.to_text()))
    return logged()


def notify(
    dynamodb: DynamoDBClient, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send one notification to a connection, and have another one refused."""

    def send_all(
        _: ConnectionsApiClient,
        calls: Iterator[Call],
        on_reply: OnReply,
        *_args: Any,
        **_options: Any,
    ) -> Iterator[Call]:
        for call in calls:
            on_reply(call, Reply(200, "", 0.01))
        return iter(())

    # That a post is made and answered is what tests/chalicelib shows.
    monkeypatch.setattr(ConnectionsApiClient, "send_all", send_all)
    dynamodb.put_item(TableName=TABLE, Item=to_item(tracked("live=")))
    invoke("notify", sns_event())
    invoke("notify", sns_event("x" * MAX_ENVELOPE_BYTES))


def use_history(dynamodb: DynamoDBClient, invoke: Callable[..., Any], wire: Wire) -> None:
    """Record a notification, fail to record another one, and have a client recover the first."""
    dynamodb.put_item(TableName=TABLE, Item=to_item(tracked(CONNECTION_ID)))
    invoke("notify", sns_event(), HISTORY_TABLE=HISTORY)
    event = {**connect_event(), "body": '{"action": "recover", "after": {"all": 0}}'}
    invoke("message", event, HISTORY_TABLE=HISTORY)
    wire.errors["GetItem"] = (400, "AccessDeniedException")
    with pytest.raises(HistoryError):
        invoke("notify", sns_event(), HISTORY_TABLE=HISTORY)
    wire.errors.clear()


def test_alarms_and_dashboard_use_only_emitted_metrics(lines: list[dict[str, Any]]) -> None:
    """The functions really emit each series of the project's namespace."""
    ours = {series for series in WATCHED | DRAWN if series.namespace == NAMESPACE}

    known = emitted(lines)

    any_cause = {of_any_cause(series) for series in known if "cause" in dict(series.dimensions)}
    by_cause = {series for series in ours if of_any_cause(series) in any_cause}
    assert ours
    assert ours - known - any_cause - by_cause == set()


def of_any_cause(series: Series) -> Series:
    """Return the series with any value of its cause."""
    return Series.of(series.namespace, series.name, dict(series.dimensions) | {"cause": "*"})


def test_the_dashboard_stays_within_the_free_size() -> None:
    """Up to 50 metrics cost nothing; a search counts as everything that it can find."""
    found = {"Refused": len(reasons()), "Closed": len(Cause)}
    metrics = [m for w in BODY["widgets"] for m in w["properties"].get("metrics", [])]
    sizes = [found[searched(m[0]["expression"]).name] if len(m) == 1 else 1 for m in metrics]
    assert sum(sizes) <= 50


QUERIES = resources("AWS::Logs::QueryDefinition")
KEYWORDS = {"fields", "filter", "stats", "sort", "limit", "by", "as", "desc", "or", "like"}
COMPUTED = {"count", "avg", "max", "handshakes", "connections", "requests", "meanSeconds", "latest"}


@pytest.mark.parametrize("name", QUERIES)
def test_a_saved_query_uses_fields_that_are_logged(name: str, lines: list[dict[str, Any]]) -> None:
    """The runbook lists each query by its name."""
    query = QUERIES[name]
    text = re.sub(r'"[^"]*"|/[^/]*/|@\w+', "", query["QueryString"])
    used = set(re.findall(r"[A-Za-z_][\w.]*", text)) - KEYWORDS - COMPUTED
    if name == "ApiErrorsQuery":
        logged = set(json.loads(access_log_format()))
    else:
        logged = {field for line in lines for field in line} | {"row.clientId", "failedId"}

    assert used
    assert used - logged - {"errorType", "status", "detail"} == set()
    assert query["Name"].removeprefix(f"incident-websocket-{STAGE}/") in names(
        RUNBOOK, "How to look"
    )
    assert query["LogGroupNames"]


def access_log_format() -> str:
    """Return the format of API Gateway's access log."""
    stage = TEMPLATE["Resources"]["WebsocketAPIStage"]["Properties"]
    text: str = stage["AccessLogSettings"]["Format"]
    return text


def test_every_metric_is_emitted_and_drawn(lines: list[dict[str, Any]]) -> None:
    """A metric that is not drawn would cost money for nothing."""
    names = {metric.value for metric in Metric}
    assert {series.name for series in emitted(lines)} == names
    assert {series.name for series in DRAWN if series.namespace == NAMESPACE} == names


def test_the_dashboard_shows_the_median_and_the_tail_of_durations() -> None:
    """A mean would hide both the many short and the few long connections."""
    metrics = [m for w in BODY["widgets"] for m in w["properties"].get("metrics", [])]
    assert {m[-1]["stat"] for m in metrics if m[:2] == [NAMESPACE, "Duration"]} == {"p50", "p99"}


def test_the_dashboard_shows_the_median_and_the_tail_of_a_post() -> None:
    """The two distinguish a slow API from a few slow clients."""
    [widget] = [
        {metric[1]: widget["properties"]["stat"] for metric in widget["properties"]["metrics"]}
        for widget in BODY["widgets"]
        if "PostP99" in str(widget["properties"].get("metrics"))
    ]
    assert widget == {"PostP50": "Maximum", "PostP99": "Maximum"}


@pytest.mark.parametrize("metric", ["Refused", "Closed"])
def test_refusals_and_ends_are_drawn_by_cause(metric: str) -> None:
    assert Series.of(NAMESPACE, metric, OURS | {"cause": "*"}) in DRAWN


def test_the_dashboard_shows_what_became_of_the_connections() -> None:
    """One chart shows the outcomes as parts of a whole."""
    outcomes = {Series.of(NAMESPACE, outcome.capitalize(), OURS) for outcome in DeliveryOutcome}
    [widget] = [w for w in BODY["widgets"] if "Skipped" in str(w["properties"].get("metrics"))]
    assert {drawn(entry) for entry in widget["properties"]["metrics"]} == outcomes


def test_the_dashboard_shows_every_alarm_and_says_what_to_do() -> None:
    """An operator sees at once what is wrong and finds the commands next to it."""
    [alarms] = [w["properties"]["alarms"] for w in BODY["widgets"] if w["type"] == "alarm"]
    [text] = [w["properties"]["markdown"] for w in BODY["widgets"] if w["type"] == "text"]

    assert set(alarms) == ALARMS.keys()
    assert f"--function-name incident-websocket-{STAGE}-sweep" in text
    assert f"/aws/lambda/incident-websocket-{STAGE}-" in text
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert named <= {cause.value for cause in Cause} | reasons()


def test_the_widgets_do_not_overlap() -> None:
    """They stay within the 24 columns of the grid, and show this region."""
    covered: set[tuple[int, int]] = set()
    for widget in BODY["widgets"]:
        across = range(widget["x"], widget["x"] + widget["width"])
        down = range(widget["y"], widget["y"] + widget["height"])
        cells = {(x, y) for x in across for y in down}
        assert across[-1] < 24
        assert not cells & covered, widget["properties"]
        covered |= cells
        if widget["type"] == "metric":
            assert widget["properties"]["region"] == "eu-west-1"


def reasons() -> set[str]:
    """Return every reason for which a handshake is refused."""
    found = {error.reason for error in kinds_of(errors.RegistryError)}
    return found - {errors.RegistryError.reason} | set(admission.REASONS)


def kinds_of(error: type[errors.RegistryError]) -> set[type[errors.RegistryError]]:
    """Return the subclasses of an error, and theirs."""
    own = set(error.__subclasses__())
    return own.union(*map(kinds_of, own))


def table(document: str, heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, without the table's own heading."""
    section = re.split(r"\n#+ ", document.split(f"# {heading}\n")[1])[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(document: str, heading: str) -> list[str]:
    return [row[0].strip("`") for row in table(document, heading)]


def test_the_documented_metrics_are_those_of_the_code(lines: list[dict[str, Any]]) -> None:
    definitions = {
        metric["Name"]: metric["Unit"]
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in directive["Metrics"]
    }
    by_cause = {each.name for each in emitted(lines) if "cause" in dict(each.dimensions)}

    documented = {row[0].strip("`"): (row[1], bool(row[2])) for row in table(METRICS, "Metrics")}
    assert documented == {name: (unit, name in by_cause) for name, unit in definitions.items()}
    assert list(documented) == [metric.value for metric in Metric]
    assert f"Namespace `{NAMESPACE}`" in METRICS


def test_the_documented_reasons_and_causes_are_those_of_the_code() -> None:
    assert sorted(names(METRICS, "Why a handshake is refused")) == sorted(reasons())
    assert names(METRICS, "Why a connection ended") == [cause.value for cause in Cause]


@pytest.mark.parametrize("row", table(METRICS, "Why a connection ended"), ids=lambda row: row[0])
def test_the_documented_close_codes_have_these_causes(row: list[str]) -> None:
    """Some causes need the cause that the server stored."""
    name, codes, _ = row
    cause = Cause(name.strip("`"))
    closed_by_server = (Cause.REPLACED, Cause.KICKED, Cause.EXPIRED, Cause.SILENT)
    known_to_server = cause if cause in closed_by_server else None
    duration_s = 7200 if cause is Cause.MAX_DURATION else 10

    for code in map(int, re.findall(r"\d+", codes)):
        assert cause_of(code, duration_s, known_to_server) is cause


def test_the_documented_alarms_are_those_of_the_template() -> None:
    """A reader looks for the name in the alarm's mail."""
    prefix = f"incident-websocket-{STAGE}-"
    assert names(RUNBOOK, "Alarms") == [
        a["AlarmName"].removeprefix(prefix) for a in ALARMS.values()
    ]


def test_what_is_put_back_keeps_every_parameter() -> None:
    """CloudFormation would take the default of one that is left out, and remove what it made."""
    section = RUNBOOK.split("\n### Put back what was changed by hand\n")[1].split("\n### ")[0]

    kept = re.findall(r"ParameterKey=(\w+),UsePreviousValue=true", section)

    assert sorted(kept) == sorted(TEMPLATE["Parameters"])


def documented_event(detail_type: str) -> dict[str, Any]:
    """Return the event that is shown in a section of the document."""
    section = EVENTS.split(f"\n## {detail_type}\n")[1]
    found: dict[str, Any] = json.loads(section.split("```json\n")[1].split("```")[0])
    assert found["source"] == eventbridge.SOURCE
    return found


def test_the_documented_event_of_nobody_home_is_the_published_one() -> None:
    shown = documented_event("Nobody Home")
    detail = shown["detail"]
    about = Queued(
        *(detail["id"], detail["sentAt"], detail["subject"], detail["message"]),
        receipt=False,
        clients=(),
    )

    assert shown["detail-type"] == unclaimed.DETAIL_TYPE
    assert detail == about.detail(detail["clientId"], detail["seq"], Why(detail["why"]))
    rows = [row[0].strip("`") for row in table(EVENTS, "Nobody Home")]
    assert rows == list(detail)
    assert all(f"`{why.value}`" in EVENTS for why in Why)


def test_the_documented_event_is_the_announced_one() -> None:
    shown = documented_event("Connection Closed")
    connection = Connection("L0SM9cOFvHcCIhw=", 1731324924565, 1, "ada", 1731324924561)

    detail = Ending(connection, Cause.CLIENT_CLOSED, 1000, 1731325015061, 90.5).detail()

    assert shown["detail-type"] == endings.DETAIL_TYPE
    assert shown["detail"] == detail
    assert names(EVENTS, "Connection Closed") == list(detail)
