"""The consumer of ended connections, with events that the application publishes."""

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from examples import closed_connections
from tests.conftest import ROOT
from tests.support.events import connect_event, disconnect_event

README = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


def options(command: str) -> dict[str, str]:
    """Return the options of a command in the README."""
    [line] = re.findall(rf"^aws events {command} (.*)$", README, flags=re.MULTILINE)
    words = shlex.split(line)
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def event(dynamodb: object, invoke: Callable[..., Any]) -> dict[str, Any]:
    """Return the event of an ended connection that the README's rule passes on."""
    assert dynamodb
    given = options("put-rule")
    bus, rule = given["--event-bus-name"], given["--name"]
    events, sqs = boto3.client("events"), boto3.client("sqs")
    events.create_event_bus(Name=bus)
    url = sqs.create_queue(QueueName="passed-on")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=given["--event-pattern"])
    events.put_targets(
        Rule=rule, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}]
    )
    invoke("connect", connect_event(), EVENT_BUS=bus)
    invoke("disconnect", disconnect_event(), EVENT_BUS=bus)
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    passed_on: dict[str, Any] = json.loads(message["Body"])
    return passed_on


def test_it_acts_on_each_end_once(
    event: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """EventBridge may send an event twice."""
    monkeypatch.setattr(closed_connections, "_seen", {})
    capsys.readouterr()

    for _ in range(2):
        closed_connections.handler(event, None)

    [line] = capsys.readouterr().out.splitlines()
    detail = event["detail"]
    assert json.loads(line) == {
        "message": "connection ended",
        "clientId": detail["clientId"],
        "connectionId": detail["connectionId"],
        "cause": detail["cause"],
        "duration": detail["duration"],
    }


def test_it_acts_again_after_an_exception(
    event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda sends the event again."""
    monkeypatch.setattr(closed_connections, "_seen", {})
    acted: list[Any] = []
    monkeypatch.setattr(closed_connections, "act", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        closed_connections.handler(event, None)

    monkeypatch.setattr(closed_connections, "act", acted.append)
    closed_connections.handler(event, None)

    assert acted == [event["detail"]]


def test_the_commands_of_the_readme_name_one_bus_and_rule() -> None:
    """The bus is that of the resources file."""
    rule, targets = options("put-rule"), options("put-targets")

    assert targets["--rule"] == rule["--name"]
    assert targets["--event-bus-name"] == rule["--event-bus-name"] == "IncidentWebSocket-dev"
    assert "IncidentWebSocket-${Stage}" in (ROOT / ".chalice" / "resources.json").read_text()
