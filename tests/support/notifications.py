"""SNS events as Lambda passes them on: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html."""

from typing import Any

TOPIC_ARN = "arn:aws:sns:eu-west-1:123456789012:IncidentNotifications-dev"
MESSAGE_ID = "95df01b4-ee98-5cb9-9903-4c221d41eb5e"
SENT_AT = 1731324924561


def sns_event(
    message: str = "hello", subject: str | None = None, **attributes: tuple[str, str]
) -> dict[str, Any]:
    """Return the event of one message. `attributes` are pairs of type and value."""
    sns = {
        "Type": "Notification",
        "MessageId": MESSAGE_ID,
        "TopicArn": TOPIC_ARN,
        "Subject": subject,
        "Message": message,
        "Timestamp": "2024-11-11T11:35:24.561Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertUrl": "EXAMPLE",
        "UnsubscribeUrl": "EXAMPLE",
        "MessageAttributes": {
            name: {"Type": kind, "Value": value} for name, (kind, value) in attributes.items()
        },
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": f"{TOPIC_ARN}:21be56ed-a058-49f5-8c98-aedd2564c486",
        "Sns": sns,
    }
    return {"Records": [record]}
