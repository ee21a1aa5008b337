"""Send the notifications that wait in the failure queue to `notify` again.

The queue holds two kinds of messages. Lambda writes a record of a failed invocation, whose
`requestPayload` is the event, with the place where the delivery stopped. SNS writes a notification
that it could not hand to Lambda at all.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import ProvisionError, QueueMessageError
from provision.session import client
from provision.template import load_queues

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How long a message that was received stays hidden from others, in s; far longer than one resend.
HIDDEN_S = 60


def event_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event for `notify` in a message of the queue.

    Raise `QueueMessageError` if the message is of neither kind.
    """
    try:
        body = json.loads(message["Body"])
    except ValueError as error:
        raise QueueMessageError(message["MessageId"]) from error
    match body:
        case {"requestPayload": {"Records": [{"Sns": {}}, *_]} as event}:
            return dict(event)
        case {"Records": [{"Sns": {}}, *_]}:
            return dict(body)
        case {"Type": "Notification", "MessageId": str(), "Message": str()}:
            sns = {"Subject": None, "MessageAttributes": {}, **body}
            return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}
    raise QueueMessageError(message["MessageId"])


def describe(message: Mapping[str, Any], event: Mapping[str, Any], now_ms: int) -> str:
    """Return a line with the notification's id, its age in the queue and its subject."""
    sns = event["Records"][0]["Sns"]
    age_s = (now_ms - int(message["Attributes"]["SentTimestamp"])) // 1000
    return f"{sns['MessageId']} left {age_s} s ago: {sns.get('Subject') or '(no subject)'}"


def messages(sqs: Any, url: str) -> Iterator[Mapping[str, Any]]:
    """Return each message of the queue once, until none comes."""
    seen: set[str] = set()
    while True:
        received = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=HIDDEN_S,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])
        if not received or received[0]["MessageId"] in seen:
            return
        seen.add(received[0]["MessageId"])
        yield received[0]


def redrive(sqs: Any, lambda_: Any, url: str, function: str, *, dry_run: bool) -> tuple[int, int]:
    """Send each message of the queue again; return how many were sent and how many stay.

    A message is deleted after Lambda has accepted its event. If the answer to that is lost, the
    message stays and the notification may be delivered twice; clients drop it by its id.
    """
    sent = stayed = 0
    shown = []
    for message in messages(sqs, url):
        try:
            event = event_of(message)
        except QueueMessageError as error:
            click.echo(str(error))
            stayed += 1
            continue
        click.echo(describe(message, event, time.time_ns() // 1_000_000))
        if dry_run:
            shown.append(message)
            continue
        lambda_.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        sent += 1
    for message in shown:
        handle = message["ReceiptHandle"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return sent, stayed + len(shown)


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
        [queue] = load_queues(resources, {"Stage": stage})
        sqs, lambda_ = client("sqs", region), client("lambda", region)
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        function = f"incident-websocket-{stage}-notify"
        sent, stayed = redrive(sqs, lambda_, url, function, dry_run=dry_run)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{sent} sent again, {stayed} still in {queue}")


if __name__ == "__main__":
    main()
