"""`python -m provision.redrive`, against an in-process SQS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from chalicelib.domain.notification import from_sns
from chalicelib.domain.unclaimed import Queued, Waiting
from provision import session
from provision.errors import QueueMessageError
from provision.redrive import describe, event_of, main
from tests.support.notifications import sns_event

pytestmark = pytest.mark.usefixtures("account")

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
REGION = "eu-central-1"
FUNCTION = "incident-websocket-dev-notify"
EVENT = sns_event(clientId=("String", "ada"))
RECORD = {
    "version": "1.0",
    "requestContext": {"condition": "RetriesExhausted"},
    "requestPayload": {**EVENT, "place": {"at": "x"}},
    "responsePayload": {"errorType": "StoreError"},
}
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "5e7d3bf5-b2c0-5b9c-9d6b-6a1b9c6f4d2e",
    "TopicArn": "arn:aws:sns:eu-central-1:123456789012:IncidentNotifications-dev",
    "Message": '{"severity": 1}',
    "Timestamp": "2026-11-25T08:00:00.000Z",
    "MessageAttributes": {"clientId": {"Type": "String", "Value": "ada"}},
}


class Lambda:
    """Records asynchronous invocations; fails after the first `accepts`, as boto3 does by default.

    An operator who presses Ctrl-C is a `KeyboardInterrupt`.
    """

    def __init__(self, accepts: int = 100, failure: BaseException | None = None) -> None:
        self.accepts, self.failure = accepts, failure
        self.events: list[Any] = []

    def invoke(self, **call: Any) -> None:
        """Accept an event, or fail."""
        if len(self.events) == self.accepts:
            raise self.failure or boto3.client("lambda", REGION).exceptions.ServiceException(
                {}, "Invoke"
            )
        assert (call["FunctionName"], call["InvocationType"]) == (FUNCTION, "Event")
        self.events.append(json.loads(call["Payload"]))


@pytest.fixture
def queue() -> Any:
    """Create the queues of the stage, and return the one for failures."""
    boto3.client("sqs", REGION).create_queue(QueueName="IncidentUnclaimed-dev")
    return boto3.resource("sqs", REGION).create_queue(QueueName="IncidentNotificationsFailed-dev")


def run(monkeypatch: pytest.MonkeyPatch, lambda_: Lambda, *options: str) -> tuple[int, str]:
    """Run the command against this Lambda; return its status and its last line."""
    status, lines = output(monkeypatch, lambda_, *options)
    return status, lines[-1]


def output(
    monkeypatch: pytest.MonkeyPatch, lambda_: Lambda, *options: str
) -> tuple[int, list[str]]:
    """Run the command against this Lambda; return its status and its lines."""
    real = session.client
    monkeypatch.setattr(
        "provision.redrive.client",
        lambda service, region: lambda_ if service == "lambda" else real(service, region),
    )
    arguments = ["--stage", "dev", "--resources", str(RESOURCES), "--region", REGION]
    result = CliRunner().invoke(main, [*arguments, *options])
    return result.exit_code, result.output.splitlines()


def left(queue: Any) -> int:
    """Return how many messages the queue has."""
    queue.reload()
    return sum(
        int(queue.attributes[name])
        for name in (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        )
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (RECORD, RECORD["requestPayload"]),
        (EVENT, EVENT),
        (
            NOTIFICATION,
            {
                "Records": [
                    {
                        "EventSource": "aws:sns",
                        "EventVersion": "1.0",
                        "Sns": {"Subject": None, **NOTIFICATION},
                    }
                ]
            },
        ),
    ],
)
def test_each_kind_of_message_becomes_an_event_that_notify_reads(body: Any, expected: Any) -> None:
    """Lambda's record keeps the place where the delivery stopped."""
    event = event_of({"MessageId": "m", "Body": json.dumps(body)})

    assert event == expected
    assert from_sns(event).client_ids == ("ada",)


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "[" * 100_000, '{"a": 1}', '{"Records": []}', '{"Records": [{"Sns": {}}]}'),
        *('{"type": "unclaimed"}', '{"type": "unclaimed", "id": "i", "subject": 1, "clients": []}'),
    ],
)
def test_another_message_is_refused(body: str) -> None:
    """Something else wrote it."""
    message = {"MessageId": "m", "Body": body}

    for read in (event_of, lambda each: describe(each, 0)):
        with pytest.raises(QueueMessageError, match="message m is not a notification"):
            read(message)


def test_every_notification_is_sent_again_and_leaves_the_queue(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is not a notification stays for a person to look at."""
    for body in (json.dumps(RECORD), json.dumps(NOTIFICATION), "something else"):
        queue.send_message(MessageBody=body)
    lambda_ = Lambda()

    result = run(monkeypatch, lambda_)

    assert result == (0, "2 sent again, about 1 still in IncidentNotificationsFailed-dev")
    ids = [event["Records"][0]["Sns"]["MessageId"] for event in lambda_.events]
    assert sorted(ids) == sorted(
        [EVENT["Records"][0]["Sns"]["MessageId"], NOTIFICATION["MessageId"]]
    )
    assert left(queue) == 1


def test_an_unclaimed_notification_goes_back_to_its_own_queue(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unclaimed` takes it from there at once."""
    clients = (Waiting("ada", 5, is_posted=False),)
    text = Queued("id", 1, "Database down", "hello", receipt=False, clients=clients).to_text()
    queue.send_message(MessageBody=text)
    lambda_ = Lambda()

    result = run(monkeypatch, lambda_)

    assert result == (0, "1 sent again, about 0 still in IncidentNotificationsFailed-dev")
    assert lambda_.events == []
    own = boto3.resource("sqs", REGION).get_queue_by_name(QueueName="IncidentUnclaimed-dev")
    assert [message.body for message in own.receive_messages()] == [text]
    assert left(queue) == 0


def test_a_line_says_what_a_message_is_about() -> None:
    attributes = {"SentTimestamp": "1000"}
    clients = (Waiting("ada", 5, is_posted=False), Waiting("bob", 5, is_posted=False))
    queued = Queued("id", 1, "Database down", "hello", receipt=False, clients=clients)
    messages = (json.dumps(NOTIFICATION), queued.to_text())

    lines = [describe({"Body": body, "Attributes": attributes}, 61_000) for body in messages]

    assert lines == [
        f"{NOTIFICATION['MessageId']} left 60 s ago: (no subject)",
        "id, unclaimed by 2 clients, left 60 s ago: Database down",
    ]


def test_a_dry_run_leaves_every_message_where_it_is(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages are visible again at once."""
    queue.send_message(MessageBody=json.dumps(RECORD))
    lambda_ = Lambda()

    result = run(monkeypatch, lambda_, "--dry-run")

    assert result == (0, "0 sent again, about 1 still in IncidentNotificationsFailed-dev")
    assert lambda_.events == []
    assert len(queue.receive_messages()) == 1


@pytest.mark.parametrize(
    ("failure", "said"), [(None, "Error: An error occurred"), (KeyboardInterrupt(), "Aborted!")]
)
def test_a_run_that_fails_or_is_interrupted_leaves_the_rest_visible(
    failure: BaseException | None, said: str, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those sent before are gone from the queue. The next run finds the others at once."""
    for body in ("something else", *[json.dumps(RECORD)] * 2):
        queue.send_message(MessageBody=body)

    status, line = run(monkeypatch, Lambda(1, failure))

    assert status == 1
    assert line.startswith(said)
    assert left(queue) == 2
    assert len(queue.receive_messages(MaxNumberOfMessages=10)) == 2


def test_messages_that_another_receiver_hides_are_told(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed cannot show them again."""
    queue.send_message(MessageBody=json.dumps(RECORD))
    queue.receive_messages(VisibilityTimeout=60)

    lines = output(monkeypatch, Lambda())[1]

    assert lines == [
        "about 1 were hidden when this began; run it again later",
        "0 sent again, about 0 still in IncidentNotificationsFailed-dev",
    ]


def test_a_missing_queue_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage was never provisioned."""
    status, line = run(monkeypatch, Lambda())

    assert status == 1
    assert "NonExistentQueue" in line or "does not exist" in line
