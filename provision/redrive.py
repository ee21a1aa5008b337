"""Send what waits in the failure queue where it failed.

The queue holds three kinds of messages. Lambda writes a record of a failed invocation, whose
`requestPayload` is the event, with the place where the delivery stopped. SNS writes a notification
that it could not hand to Lambda at all. Both go to `notify` again. SQS moves a message of the queue
`IncidentUnclaimed-{stage}` here with which `unclaimed` failed; it goes back there.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import ProvisionError, QueueMessageError
from provision.failure_queue import HIDDEN_S, FailureQueue
from provision.session import client
from provision.template import load_queues

if TYPE_CHECKING:
    from collections.abc import Mapping


def event_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event for `notify` in a message of the queue.

    Raise `QueueMessageError` if the message is of neither kind.
    """
    try:
        body = json.loads(message["Body"])
    except (RecursionError, ValueError) as error:
        raise QueueMessageError(message["MessageId"]) from error
    match body:
        case {"requestPayload": {"Records": [{"Sns": {"MessageId": str()}}, *_]} as event}:
            return dict(event)
        case {"Records": [{"Sns": {"MessageId": str()}}, *_]}:
            return dict(body)
        case {"Type": "Notification", "MessageId": str(), "Message": str()}:
            sns = {"Subject": None, "MessageAttributes": {}, **body}
            return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}
    raise QueueMessageError(message["MessageId"])


def is_unclaimed(message: Mapping[str, Any]) -> bool:
    """Return whether a message of the queue is one for `unclaimed`."""
    try:
        body = json.loads(message["Body"])
    except (RecursionError, ValueError):
        return False
    match body:
        case {"type": "unclaimed", "id": str(), "subject": str() | None, "clients": list()}:
            return True
    return False


def describe(message: Mapping[str, Any], now_ms: int) -> str:
    """Return a line with the notification's id, its age in the queue and its subject.

    Raise `QueueMessageError` if the message is of no known kind.
    """
    if is_unclaimed(message):
        body = json.loads(message["Body"])
        notification_id, subject = body["id"], body["subject"]
        about = f"{notification_id}, unclaimed by {len(body['clients'])} clients,"
    else:
        sns = event_of(message)["Records"][0]["Sns"]
        about, subject = sns["MessageId"], sns.get("Subject")
    age_s = (now_ms - int(message["Attributes"]["SentTimestamp"])) // 1000
    return f"{about} left {age_s} s ago: {subject or '(no subject)'}"


@dataclass(frozen=True)
class Places:
    """Where messages come from and go to: the URLs of two queues, and the function `notify`."""

    failed: str
    unclaimed: str
    notify: str


@dataclass(frozen=True)
class Outcome:
    """How many messages were sent again, are left, and were hidden when the run began.

    SQS counts the hidden ones only about; another receiver has them, or a run that was killed.
    """

    sent: int
    left: int
    hidden: int


def redrive(sqs: Any, lambda_: Any, places: Places, *, dry_run: bool) -> Outcome:
    """Send each message of the queue again, and leave those that are no notifications.

    A message is deleted after Lambda or SQS has accepted it. If the answer to that is lost, the
    message stays and its notification may come twice; it is dropped by its id. What is left is
    visible again at the end, also of a run that fails or is interrupted.
    """
    queue, sent = FailureQueue(sqs, places.failed), 0
    hidden = queue.hidden()
    try:
        for message in queue.messages():
            try:
                click.echo(describe(message, time.time_ns() // 1_000_000))
            except QueueMessageError as error:
                click.echo(str(error))
                continue
            if dry_run:
                continue
            if is_unclaimed(message):
                sqs.send_message(QueueUrl=places.unclaimed, MessageBody=message["Body"])
            else:
                event = json.dumps(event_of(message))
                lambda_.invoke(FunctionName=places.notify, InvocationType="Event", Payload=event)
            queue.delete(message)
            sent += 1
    finally:
        if still_hidden := queue.show_again():
            click.echo(f"{still_hidden} may stay hidden for up to {HIDDEN_S // 60} minutes")
    return Outcome(sent, queue.left, hidden)


@click.command(name="python -m provision.redrive")
@click.option("--stage", required=True, help="The stage whose notifications to send again.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template that defines the queue.",
)
@click.option("--region", help="The AWS region. The default is the configured one.")
def main(stage: str, *, dry_run: bool, resources: Path, region: str | None) -> None:
    """Send the notifications of the failure queue again, from where their delivery stopped."""
    try:
        queues = load_queues(resources, {"Stage": stage})
        sqs, lambda_ = client("sqs", region), client("lambda", region)
        failed, unclaimed = (
            sqs.get_queue_url(QueueName=queues[each].name)["QueueUrl"]
            for each in ("FailedNotifications", "UnclaimedQueue")
        )
        places = Places(failed, unclaimed, f"incident-websocket-{stage}-notify")
        outcome = redrive(sqs, lambda_, places, dry_run=dry_run)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    if outcome.hidden:
        click.echo(f"about {outcome.hidden} were hidden when this began; run it again later")
    name = queues["FailedNotifications"].name
    click.echo(f"{outcome.sent} sent again, about {outcome.left} still in {name}")


if __name__ == "__main__":
    main()
