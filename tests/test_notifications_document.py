"""docs/notifications.md is true: its commands publish what it says, its figures are the code's."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.retries import MAX_ATTEMPTS
from chalicelib.domain.notification import (
    MAX_CLIENT_ID_BYTES,
    MAX_ENVELOPE_BYTES,
    Notification,
    from_sns,
)
from chalicelib.handlers.notify import RESERVE_S
from chalicelib.services.delivery import CONCURRENCY
from chalicelib.telemetry.metrics import Metric
from tests.support.notifications import sns_event

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "notifications.md").read_text(encoding="utf-8")
WORDS = " ".join(DOCUMENT.split())


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[dict[str, str]]:
    """Return the options of each `aws sns publish`."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    found = [line[3:] for line in lines if line[:3] == ["aws", "sns", "publish"]]
    return [dict(zip(options[::2], options[1::2], strict=True)) for options in found]


Publish = Callable[[Callable[[Any, str], object]], Notification]


@pytest.fixture
def published() -> Any:
    """Return a function that publishes to an in-process SNS and parses what `notify` gets."""
    with mock_aws():
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name="IncidentNotifications-dev")["TopicArn"]
        queue = sqs.create_queue(QueueName="published")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        endpoint = arn["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)

        def publish(how: Callable[[Any, str], object]) -> Notification:
            how(sns, topic)
            [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
            body = json.loads(message["Body"])
            attributes = body.get("MessageAttributes", {})
            pairs = {name: (each["Type"], each["Value"]) for name, each in attributes.items()}
            return from_sns(sns_event(body["Message"], body.get("Subject"), **pairs))

        yield publish


@pytest.mark.parametrize(
    ("number", "subject", "message", "clients"),
    [
        (0, "Database down", "Failing over", None),
        (1, None, {"incident": 4711, "severity": "high"}, None),
        (2, None, "Your shift begins", ("ada",)),
        (3, None, "Call at 9", ("ada", "bob")),
        (4, None, "Your shift begins", ("ada",)),
    ],
)
def test_each_command_publishes_the_described_notification(
    published: Publish, number: int, subject: str | None, message: Any, clients: Any
) -> None:
    """The shell's quoting is part of the test."""
    assert len(commands()) == 5
    options = commands()[number]
    assert options["--topic-arn"] == "$TOPIC_ARN"
    arguments: dict[str, Any] = {"Message": options["--message"]}
    if "--subject" in options:
        arguments["Subject"] = options["--subject"]
    if "--message-attributes" in options:
        arguments["MessageAttributes"] = json.loads(options["--message-attributes"])

    notification = published(lambda sns, topic: sns.publish(TopicArn=topic, **arguments))

    assert notification.subject == subject
    assert notification.message == message
    assert notification.client_ids == clients
    assert notification.receipt is (number == 4)


def test_the_python_runs_as_it_stands(published: Publish) -> None:
    """It publishes JSON to two clients."""
    [code] = blocks("python")

    notification = published(lambda _, topic: exec(code, {"topic_arn": topic}))  # noqa: S102 - ours

    assert notification.subject == "Database down"
    assert notification.message == {"incident": 4711, "severity": "high"}
    assert notification.client_ids == ("ada", "bob")


def test_the_envelope_is_as_documented() -> None:
    """The example and the table list the fields that clients receive."""
    [example] = blocks("json")
    fields = json.loads(example)
    notification = Notification(
        fields["id"], fields["sentAt"], fields["subject"], fields["message"]
    )

    assert json.loads(notification.envelope()) == fields
    table = DOCUMENT.split("| field | type |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(fields)


def test_the_metrics_are_those_of_the_code() -> None:
    """The page names each metric of a delivery."""
    [named] = re.findall(r"The metrics are (.*?)\.", WORDS)
    reported = {
        "Delivered",
        "Gone",
        "Failed",
        "Skipped",
        "Expired",
        "DeliveryTime",
        "PostP50",
        "PostP99",
    }

    assert set(re.findall(r"`(\w+)`", named)) == reported
    assert reported <= {metric.value for metric in Metric}
    assert f"the metric `{Metric.REJECTED.value}`" in WORDS


@pytest.mark.parametrize(
    "statement",
    [
        f"over 128 KB ({MAX_ENVELOPE_BYTES:,} bytes",
        f"over {MAX_CLIENT_ID_BYTES} bytes",
        f"Up to {CONCURRENCY} posts are in flight",
        f"at most {MAX_ATTEMPTS} tries",
        f"nothing within {ConnectionsApiClient.timeout:g} s",
        f"Posting stops {RESERVE_S:g} s before",
    ],
)
def test_the_figures_are_those_of_the_code(statement: str) -> None:
    """A constant cannot change without the page."""
    assert statement in WORDS
