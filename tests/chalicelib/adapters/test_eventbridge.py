"""Ended connections, announced on an event bus."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse

from chalicelib.adapters import aws_clients as sdk
from chalicelib.domain.close_causes import Cause, Ending
from chalicelib.domain.connection import Connection
from chalicelib.services.endings import announce
from chalicelib.settings import load
from chalicelib.telemetry.logs import Log
from tests.chalicelib.telemetry.test_metrics import assert_counts

BUS = "IncidentWebSocket-dev"
SETTINGS = load({"CONNECTIONS_TABLE": "Connections", "EVENT_BUS": BUS})
LOG = Log({"function": "disconnect"})
Logged = Callable[[], list[dict[str, Any]]]


def endings(number: int) -> list[Ending]:
    """Describe the ends of so many connections."""
    return [
        Ending(Connection(f"{n}=", 1000, 60, "alice", 900), Cause.GOING_AWAY, 1001, 3500 + n, 2.5)
        for n in range(number)
    ]


@pytest.fixture
def calls() -> Iterator[list[list[dict[str, Any]]]]:
    """Give the entries of each PutEvents call that is made, on an in-process AWS."""
    made: list[list[dict[str, Any]]] = []

    def record(params: dict[str, Any], **_: object) -> None:
        made.append(params["Entries"])

    with mock_aws():
        boto3.client("events").create_event_bus(Name=BUS)
        events = sdk.client("events").meta.events
        events.register("provide-client-params.events.PutEvents", record)
        yield made


@pytest.fixture
def received(calls: list[Any]) -> Callable[[], list[dict[str, Any]]]:
    """Give what a rule like that of the resources file hands on to a queue."""
    assert calls == []
    queues, bus = boto3.client("sqs"), boto3.client("events")
    queue = queues.create_queue(QueueName="closed")["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {"source": ["incident-websocket"], "detail-type": ["Connection Closed"]}
    bus.put_rule(Name="closed", EventBusName=BUS, EventPattern=json.dumps(pattern))
    arn = attributes["Attributes"]["QueueArn"]
    bus.put_targets(Rule="closed", EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])

    def read() -> list[dict[str, Any]]:
        messages = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in messages.get("Messages", [])]

    return read


def test_an_end_arrives_where_a_rule_sends_it(received: Callable[[], list[dict[str, Any]]]) -> None:
    """With its source, its type and its detail, once."""
    announce(endings(1), SETTINGS, LOG)

    [event] = received()
    assert (event["source"], event["detail-type"]) == ("incident-websocket", "Connection Closed")
    assert event["detail"] == {
        "connectionId": "0=",
        "clientId": "alice",
        "cause": "going_away",
        "code": 1001,
        "connectedAt": 900,
        "closedAt": 3500,
        "duration": 2.5,
    }
    assert received() == []


@pytest.mark.parametrize(
    ("number", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])]
)
def test_ten_ends_are_put_in_a_call(
    calls: list[list[dict[str, Any]]], logged: Logged, number: int, sizes: list[int]
) -> None:
    """That is as many as EventBridge takes, and each end is in one call."""
    announce(endings(number), SETTINGS, LOG)

    assert [len(call) for call in calls] == sizes
    ids = [json.loads(entry["Detail"])["connectionId"] for call in calls for entry in call]
    assert ids == [f"{n}=" for n in range(number)]
    assert logged() == []


def test_nothing_is_announced_without_a_bus(
    calls: list[list[dict[str, Any]]], logged: Logged
) -> None:
    """Nor is a call made."""
    announce(endings(3), load({"CONNECTIONS_TABLE": "Connections"}), LOG)

    assert calls == []
    assert logged() == []


def test_what_is_not_on_the_bus_is_logged_and_counted(
    calls: list[list[dict[str, Any]]], logged: Logged
) -> None:
    """A call that succeeds may still have failed for some of its events."""
    entries = [{"EventId": "1"}, {"ErrorCode": "InternalFailure", "ErrorMessage": "try later"}]
    entries += [{"ErrorCode": "ThrottlingException"}, {"EventId": "4"}]
    answer = json.dumps({"FailedEntryCount": 2, "Entries": entries}).encode()

    def answered(request: Any, **_: object) -> Any:
        headers: Any = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, 200, headers, MockRawResponse(answer))

    sdk.client("events").meta.events.register_first("before-send.events.PutEvents", answered)

    announce(endings(4), SETTINGS, LOG)

    assert len(calls) == 1
    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "event not published")
    assert line["failures"] == ["InternalFailure: try later", "ThrottlingException: None"]
    assert assert_counts(line) == {"AnnouncementFailures": (2, "Count")}


def test_a_bus_that_is_not_there_fails_nothing(
    calls: list[list[dict[str, Any]]], logged: Logged
) -> None:
    """Each call is tried, and each event that is lost is counted."""
    boto3.client("events").delete_event_bus(Name=BUS)

    announce(endings(12), SETTINGS, LOG)

    assert [len(call) for call in calls] == [10, 2]
    [line] = logged()
    assert "ResourceNotFoundException" in line["failures"][0]
    assert assert_counts(line) == {"AnnouncementFailures": (12, "Count")}


def test_an_eventbridge_that_cannot_be_reached_fails_nothing(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a refused connection nor a missing region raises anything.

    After the first call that nobody answers, no other is made, and all that is lost is counted.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")
    made: list[object] = []
    events = sdk.client("events").meta.events
    events.register("provide-client-params.events.PutEvents", lambda **_: made.append(1))
    announce(endings(25), SETTINGS, LOG)
    assert len(made) == 1
    sdk.session.cache_clear()
    sdk.client.cache_clear()
    monkeypatch.delenv("AWS_ENDPOINT_URL_EVENTBRIDGE")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    announce(endings(1), SETTINGS, LOG)

    unreachable, nowhere = logged()
    assert "Could not connect to the endpoint URL" in unreachable["failures"][0]
    assert assert_counts(unreachable) == {"AnnouncementFailures": (25, "Count")}
    assert "You must specify a region" in nowhere["failures"][0]
