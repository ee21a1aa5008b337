"""SNS deliveries to functions, as asynchronous invocations like in AWS.

moto delivers only to functions that it runs itself, and over HTTP without message attributes.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.sns.models import Subscription, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Invoke = Callable[[str, Mapping[str, Any]], None]

# The parameters of moto's publish, after the message.
_PUBLISHED = ("subject", "message_attributes")

_log = logging.getLogger(__name__)


def deliver_by(invoke: Invoke) -> None:
    """Make moto call `invoke` with the function's ARN and the event for each delivery."""
    deliver = Subscription.publish

    def publish(self: Subscription, message: str, message_id: str, **details: Any) -> None:
        if self.protocol != "lambda":
            deliver(self, message, message_id, **details)
            return
        attributes = details.get("message_attributes") or {}
        matcher = self._filter_policy_matcher
        if matcher is None or matcher.matches(attributes, message):
            if details.get("message_structure") == "json":
                message = self._parse_message_structure(message, self.protocol)
            event = sns_event(self, message, message_id, details.get("subject"), attributes)
            invoke(self.endpoint, event)

    Subscription.publish = publish  # type: ignore[assignment,method-assign] # moto has no setting


def report_by(published: Callable[[Mapping[str, Any]], None]) -> None:
    """Make moto call `published` with each message that it has accepted."""
    publish = Topic.publish

    def publish_and_report(self: Topic, message: str, *rest: Any, **details: Any) -> str:
        message_id = publish(self, message, *rest, **details)
        given = dict(zip(_PUBLISHED, rest, strict=False)) | details
        attributes = given.get("message_attributes") or {}
        published(
            {
                "topic": self.arn,
                "id": message_id,
                "subject": given.get("subject") or "",
                "message": message,
                "attributes": json.dumps({k: v.get("Value") for k, v in attributes.items()}),
            }
        )
        return message_id

    Topic.publish = publish_and_report  # type: ignore[method-assign] # moto has no setting


def invoke_at(endpoint: str, function: str, event: Mapping[str, Any]) -> None:
    """Invoke a function asynchronously through the Lambda API at `endpoint`.

    Failures are logged; publishers never see them.
    """
    try:
        _lambda(endpoint).invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode()
        )
    except (ClientError, BotoCoreError) as error:
        _log.error("delivery to %s failed: %s", function, error)


def sns_event(
    subscription: Subscription,
    message: str,
    message_id: str,
    subject: str | None,
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the event with which a function receives one message.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    post = subscription.get_post_data(message, message_id, subject)
    unsubscribe = f"?Action=Unsubscribe&SubscriptionArn={subscription.arn}"
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": {
                    "Type": post["Type"],
                    "MessageId": message_id,
                    "TopicArn": subscription.topic.arn,
                    "Subject": subject,
                    "Message": message,
                    "Timestamp": post["Timestamp"],
                    "SignatureVersion": post["SignatureVersion"],
                    "Signature": post["Signature"],
                    "SigningCertUrl": post["SigningCertURL"],
                    "UnsubscribeUrl": post["UnsubscribeURL"].partition("?")[0] + unsubscribe,
                    "MessageAttributes": dict(attributes),
                },
            }
        ]
    }


@functools.cache
def _lambda(endpoint: str) -> Any:
    return boto3.client("lambda", endpoint_url=endpoint)
