"""The alarms of the resources file in situations that a person has to know about, and in others."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain import admission, errors
from tests.deployment.conftest import ROOT
from tests.support.alarms import Alarm, Metric, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEMPLATE = json.loads((ROOT / ".chalice" / "resources.json").read_text())
ALARMS = {
    name: Alarm(resource["Properties"])
    for name, resource in TEMPLATE["Resources"].items()
    if resource.get("Type") == "AWS::CloudWatch::Alarm"
}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
DESCRIPTION = re.compile(
    r"Severity (1, page|2, today)\. .+ First: .+\. More: docs/runbook\.md#([a-z-]+)"
)
FUNCTIONS = (
    *("WebsocketConnect", "WebsocketDisconnect", "WebsocketMessage"),
    *("Notify", "Unclaimed", "Connections", "Close", "Sweep"),
)
# The trouble begins at START and ends at END; both in minutes. Two days come before it.
START, END, LAST = 2880, 3000, 3240
# Embedded metrics reach CloudWatch by way of the logs; SQS's take longest.
LATE = {"ApproximateNumberOfMessagesVisible": 5}
LATE_BY_DEFAULT = 2
CLIENTS_REASON = "bad_token"

Minutes = dict[int, float]
# A metric and its value in each minute of the trouble; None if it has no data.
Change = tuple[Metric, "float | None"]


def each(minutes: Iterable[int], value: float) -> Minutes:
    """Return the same value in each of the minutes."""
    return dict.fromkeys(minutes, value)


def normal() -> dict[Metric, Minutes]:
    """Return two busy days and a few hours: 20 handshakes and 50 messages a minute."""
    always, sweeps = range(LAST), range(0, LAST, 5)
    functions = {Metric(n, f): each(always, 0) for f in FUNCTIONS for n in ("Errors", "Throttles")}
    return functions | {
        Metric("Opened"): each(always, 20),
        Metric("Refused"): each(range(0, LAST, 10), 1),
        Metric("Refused", CLIENTS_REASON): each(range(0, LAST, 10), 1),
        Metric("Closed"): each(always, 20),
        Metric("Closed", "orphaned"): each(range(0, LAST, 5), 1),
        Metric("ConnectCount"): each(always, 20),
        Metric("MessageCount"): each(always, 50),
        # API Gateway counts the refusals that $connect returns.
        Metric("IntegrationError"): each(range(0, LAST, 10), 1),
        Metric("Invocations", "Sweep"): each(sweeps, 1),
        Metric("SweepLag"): each(sweeps, 305),
        Metric("Delivered"): each(range(0, LAST, 30), 100),
        Metric("ApproximateNumberOfMessagesVisible"): each(always, 0),
    }


def quiet() -> dict[Metric, Minutes]:
    """Return the metrics of a stage that nobody uses: only the sweep runs."""
    sweeps = range(0, LAST, 5)
    return {
        Metric("Invocations", "Sweep"): each(sweeps, 1),
        Metric("SweepLag"): each(sweeps, 305),
    }


@dataclass(frozen=True)
class Scenario:
    """A trouble: its changes, and the alarms that must fire within `minutes`, and no others.

    After the trouble, all of them must clear within `clears` minutes.
    """

    changes: tuple[Change, ...]
    fires: Mapping[str, int]
    clears: int = 20


SCENARIOS = {
    "connect is throttled": Scenario(
        (
            (Metric("Throttles", "WebsocketConnect"), 20),
            (Metric("ExecutionError"), 20),
            (Metric("Opened"), None),
        ),
        {"FunctionsThrottled": 5, "ApiFailing": 5},
    ),
    "the account runs ten functions at once": Scenario(
        (
            (Metric("Throttles", "WebsocketConnect"), 5),
            (Metric("Throttles", "WebsocketMessage"), 8),
            (Metric("ExecutionError"), 13),
        ),
        {"FunctionsThrottled": 5, "ApiFailing": 5},
    ),
    "DynamoDB is down": Scenario(
        (
            (Metric("Refused", "store"), 20),
            (Metric("Refused"), 20),
            (Metric("Opened"), None),
            (Metric("Failures"), 40),
            (Metric("IntegrationError"), 40),
            (Metric("Errors", "Sweep"), 1),
        ),
        {"HandshakesFailing": 5, "AnswersFailing": 5, "ApiFailing": 5, "SweepFailing": 10},
    ),
    "the permission to delete rows is gone": Scenario(
        ((Metric("Failures"), 20), (Metric("IntegrationError"), 20)),
        {"AnswersFailing": 5, "ApiFailing": 5},
    ),
    "connections and close return errors": Scenario(
        ((Metric("Failures"), 2),), {"AnswersFailing": 5}
    ),
    "the permission of API Gateway to invoke a function is gone": Scenario(
        ((Metric("ExecutionError"), 20), (Metric("Opened"), None), (Metric("ConnectCount"), 20)),
        {"ApiFailing": 5},
    ),
    "the permission of SNS to invoke notify is gone": Scenario(
        (
            (Metric("NumberOfNotificationsFailed"), 1),
            (Metric("ApproximateNumberOfMessagesVisible"), 1),
        ),
        {"NotificationsLeft": 5},
    ),
    "messages return 500": Scenario(((Metric("IntegrationError"), 30),), {"ApiFailing": 5}),
    "the sweep never finishes a pass": Scenario(
        ((Metric("SweepLag"), 3600),), {"SweepLagging": 20}, clears=30
    ),
    "the schedule of the sweep is off": Scenario(
        ((Metric("Invocations", "Sweep"), None), (Metric("SweepLag"), None)),
        {"SweepNotRun": 20},
        clears=5,
    ),
    "the token issuer is down": Scenario(
        (
            (Metric("Refused", "no_keys"), 20),
            (Metric("Refused"), 20),
            (Metric("Opened"), None),
            (Metric("IntegrationError"), 20),
        ),
        {"HandshakesFailing": 5},
    ),
    "clients send expired tokens": Scenario(
        (
            (Metric("Refused", CLIENTS_REASON), 10),
            (Metric("Refused"), 10),
            (Metric("IntegrationError"), 10),
        ),
        {"HandshakesRefused": 20},
        clears=25,
    ),
    "the stage is throttled": Scenario(
        ((Metric("ClientError"), 100),), {"RequestsRefused": 20}, clears=25
    ),
    "the table is throttled": Scenario(
        ((Metric("WriteThrottleEvents", "ByClient"), 3),), {"TableThrottled": 5}
    ),
    "no $disconnect arrives": Scenario(
        ((Metric("Closed", "orphaned"), 20),), {"DisconnectsMissed": 30}, clears=125
    ),
    "the event bus is gone": Scenario(
        ((Metric("AnnouncementFailures"), 20),), {"AnnouncementsFailing": 5}
    ),
    "the history is gone": Scenario(((Metric("HistoryFailures"), 1),), {"HistoryFailing": 5}),
    "clients do not get notifications": Scenario(
        ((Metric("Failed"), 50),), {"DeliveriesFailed": 10}
    ),
    "a publisher sends invalid notifications": Scenario(
        ((Metric("Rejected"), 1),), {"NotificationsRejected": 5}
    ),
    "the queue fills": Scenario(
        (
            (Metric("Errors", "Notify"), 1),
            (Metric("AsyncEventsDropped", "Notify"), 1),
            (Metric("ApproximateNumberOfMessagesVisible"), 5),
        ),
        {"NotifyFailing": 5, "NotificationsLeft": 5},
    ),
    "dropped events reach no queue": Scenario(
        (
            (Metric("AsyncEventsDropped", "Notify"), 1),
            (Metric("DestinationDeliveryFailures", "Notify"), 1),
        ),
        {"NotificationsLeft": 5, "NotificationsLost": 5},
    ),
    **{
        f"{function} raises": Scenario(
            ((Metric("Errors", function), 1),), {f"{function.removeprefix('Websocket')}Failing": 5}
        )
        for function in FUNCTIONS
    },
}


def series_of(minutes: Mapping[Metric, Minutes]) -> dict[Metric, Series]:
    """Return the series as CloudWatch receives them."""
    return {
        metric: Series(values, LATE.get(metric.name, LATE_BY_DEFAULT))
        for metric, values in minutes.items()
    }


def changed(minutes: dict[Metric, Minutes], changes: Iterable[Change]) -> dict[Metric, Minutes]:
    """Return the minutes with the changes put in during the trouble.

    A metric of which the sweep is the source has data when the sweep runs.
    """
    result = {metric: dict(values) for metric, values in minutes.items()}
    for metric, value in changes:
        step = 5 if metric in (Metric("SweepLag"), Metric("Invocations", "Sweep")) else 1
        values = result.setdefault(metric, {})
        for minute in range(START, END):
            values.pop(minute, None)
        if value is not None:
            values.update(each(range(START, END, step), value))
    return result


def firing(series: Mapping[Metric, Series], now: int) -> set[str]:
    """Return the alarms that are in ALARM at a minute."""
    return {name for name, alarm in ALARMS.items() if alarm.fires(series, now)}


@pytest.mark.parametrize("minutes", [normal(), quiet()], ids=["normal", "quiet"])
def test_no_alarm_fires_when_nothing_is_wrong(minutes: dict[Metric, Minutes]) -> None:
    """Neither a busy stage nor one without traffic pages anybody."""
    series = series_of(minutes)

    assert {name for now in range(START, LAST, 7) for name in firing(series, now)} == set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trouble_fires_its_alarms_in_time_and_they_clear(name: str) -> None:
    """No other alarm fires, so that a person starts at the right page of the runbook."""
    scenario = SCENARIOS[name]
    series = series_of(changed(normal(), scenario.changes))

    first: dict[str, int] = {}
    for now in (*range(START, START + 45), *range(START + 45, LAST, 5)):
        for alarm in firing(series, now):
            first.setdefault(alarm, now - START)

    assert first.keys() == scenario.fires.keys()
    late = {alarm for alarm in first if first[alarm] > scenario.fires[alarm] + LATE_BY_DEFAULT}
    assert late == set(), first
    assert firing(series, END + scenario.clears) == set()


def test_every_alarm_has_a_scenario() -> None:
    """A new alarm has to show when it fires."""
    assert {alarm for scenario in SCENARIOS.values() for alarm in scenario.fires} == ALARMS.keys()


@pytest.mark.parametrize(
    ("reason", "returns_500"),
    [
        ("store", True),
        ("settings", True),
        ("unverified", True),
        ("event", False),
        ("no_keys", False),
    ],
)
def test_the_first_refusal_of_our_own_making_fires(reason: str, *, returns_500: bool) -> None:
    """One in a whole day is enough, and it is not held against the clients."""
    minutes = normal()
    failures = (Metric("Failures"),) if returns_500 else ()
    for metric in (Metric("Refused"), Metric("Refused", reason), *failures):
        minutes.setdefault(metric, {})[START] = 1

    expected = {"HandshakesFailing", "AnswersFailing"} if returns_500 else {"HandshakesFailing"}
    assert firing(series_of(minutes), START + 4) == expected


def test_every_reason_of_a_refusal_is_ours_or_the_clients() -> None:
    """A new reason has to be counted on one side."""
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    known = {e.reason for e in kinds if issubclass(e, errors.RegistryError)} - {
        errors.RegistryError.reason
    }
    ours = {m.of for m in ALARMS["HandshakesFailing"].metrics.values() if m.of}
    subtracted = {m.of for m in ALARMS["HandshakesRefused"].metrics.values() if m.of}

    assert (
        ours
        == subtracted
        == (known | set(admission.REASONS))
        - {
            *("origin", "client_id", "no_token", "bad_token", "other_client"),
        }
    )


@pytest.mark.parametrize(
    ("alarm", "counts", "fires"),
    [
        ("HandshakesRefused", {"opened": 89, "refused": 11}, True),
        ("HandshakesRefused", {"opened": 90, "refused": 10}, False),
        ("HandshakesRefused", {"refused": 20}, True),
        ("HandshakesRefused", {"opened": 5, "refused": 14}, False),
        ("HandshakesRefused", {"opened": 80, "refused": 20, "store": 15}, False),
        ("RequestsRefused", {"refused": 11, "connects": 49, "messages": 40}, True),
        ("RequestsRefused", {"refused": 10, "connects": 50, "messages": 40}, False),
        ("DisconnectsMissed", {"closed": 100, "orphaned": 11}, True),
        ("DisconnectsMissed", {"closed": 100, "orphaned": 10}, False),
        ("DisconnectsMissed", {"closed": 19, "orphaned": 19}, False),
        ("DeliveriesFailed", {"delivered": 94, "failed": 6}, True),
        ("DeliveriesFailed", {"delivered": 95, "failed": 5}, False),
        ("DeliveriesFailed", {"failed": 20}, True),
        ("DeliveriesFailed", {"failed": 19}, False),
        ("ApiFailing", {"integration": 24, "refused": 20}, False),
        ("ApiFailing", {"integration": 20, "execution": 5, "refused": 20}, True),
        ("ApiFailing", {"refused": 20}, False),
    ],
)
def test_an_alarm_on_a_share_or_a_difference_has_this_threshold(
    alarm: str, counts: dict[str, int], *, fires: bool
) -> None:
    """A share needs enough events; a refusal is not counted twice."""
    watched = ALARMS[alarm]
    periods = watched.period * watched.periods
    series = {
        watched.metrics[name]: Series(each(range(0, periods, watched.period), count))
        for name, count in counts.items()
    }

    assert watched.fires(series, periods) is fires


def test_no_expression_depends_on_a_metric_that_may_be_missing() -> None:
    """Also, alarms on DynamoDB's metrics keep their state while data is missing."""
    assert {name: alarm.unfilled for name, alarm in ALARMS.items() if alarm.unfilled} == {}


def test_late_data_does_not_keep_an_alarm_green() -> None:
    """FILL turns data that has not come yet into 0, so an older period has to count as well."""
    filled = {name: a for name, a in ALARMS.items() if "FILL" in a.expression}
    assert filled
    assert {name for name, alarm in filled.items() if alarm.needed >= alarm.periods} == set()


@pytest.mark.parametrize("name", ALARMS)
def test_a_description_has_severity_first_step_and_page(name: str) -> None:
    """The page is the section with the alarm's name; it says how to know that it is over."""
    properties = ALARMS[name].properties
    alarm = properties["AlarmName"]["Fn::Sub"].removeprefix("incident-websocket-${Stage}-")

    found = DESCRIPTION.fullmatch(properties["AlarmDescription"])

    assert found, properties["AlarmDescription"]
    assert found[2] == alarm
    assert f"\n### {alarm}\n" in RUNBOOK
    section = re.split(r"\n##", RUNBOOK.split(f"\n### {alarm}\n")[1])[0]
    assert re.search(r"Over when\s", section)
    assert len(properties["AlarmDescription"]) <= 1024


def test_alarms_notify_the_topic_if_one_is_given() -> None:
    """Each sends a message when it fires and when it clears."""
    topic = [{"Ref": "AlarmTopicArn"}]
    to_topic = {"Fn::If": ["HasAlarmTopic", topic, {"Ref": "AWS::NoValue"}]}
    for alarm in ALARMS.values():
        assert alarm.properties["AlarmActions"] == alarm.properties["OKActions"] == to_topic
