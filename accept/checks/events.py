"""AWS only: what invokes `notify`, `unclaimed` and `sweep`, and where failed notifications go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from accept.checks.api import CHALICE_MAKES_NONE
from accept.checks.deployment import configuration
from accept.definitions import redrives, resources
from accept.errors import FailedError, SkippedError

if TYPE_CHECKING:
    from accept.run import Run

DEFAULT_MINUTES = "5"


async def subscription(run: Run) -> str:
    """Check that `notify` is the topic's only subscriber."""
    notify = (await configuration(run, "notify"))["FunctionArn"]
    answer = await run.aws.call("sns", "list_subscriptions_by_topic", TopicArn=run.target.topic_arn)
    seen = [(each["Protocol"], each["Endpoint"]) for each in answer["Subscriptions"]]
    if seen != [("lambda", notify)]:
        raise FailedError(f"one subscription, of {notify}", seen, f"topic {run.target.topic_arn}")
    return "1 subscription"


async def redrive(run: Run) -> str:
    """Check that the topic keeps a notification that Lambda did not take."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    if not redrives(run.target):
        raise SkippedError("the resources file sets no RedrivePolicy")
    topic = run.target.topic_arn
    answer = await run.aws.call("sns", "list_subscriptions_by_topic", TopicArn=topic)
    seen = await run.aws.call(
        "sns",
        "get_subscription_attributes",
        SubscriptionArn=answer["Subscriptions"][0]["SubscriptionArn"],
    )
    policy = seen["Attributes"].get("RedrivePolicy")
    if not policy:
        raise FailedError("a RedrivePolicy", policy, f"the subscription of {topic}")
    return str(json.loads(policy)["deadLetterTargetArn"])


async def failure_queue(run: Run) -> str:
    """Check that a notification which could not be delivered goes to the failure queue."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    queue = resources(run.target, "AWS::SQS::Queue")["FailedNotifications"]["QueueName"]
    url = (await run.aws.call("sqs", "get_queue_url", QueueName=queue))["QueueUrl"]
    answer = await run.aws.call(
        "lambda",
        "get_function_event_invoke_config",
        FunctionName=run.target.functions["notify"],
        Qualifier="$LATEST",
    )
    destination = answer.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    if destination.rpartition(":")[2] != queue:
        where = f"the asynchronous invocation of {run.target.functions['notify']}"
        raise FailedError(f"failures sent to {queue}", destination or "nowhere", where)
    return str(url)


async def unclaimed_queue(run: Run) -> str:
    """Check that `unclaimed` reads its queue, one message at a time."""
    queue = run.target.settings.get("UNCLAIMED_QUEUE")
    if not queue:
        raise SkippedError("UNCLAIMED_QUEUE is not set")
    function = run.target.functions["unclaimed"]
    answer = await run.aws.call("lambda", "list_event_source_mappings", FunctionName=function)
    seen = [
        (each["EventSourceArn"].rpartition(":")[2], each["State"], each["BatchSize"])
        for each in answer["EventSourceMappings"]
    ]
    expected = [(queue, "Enabled", 1)]
    if seen != expected:
        raise FailedError(f"one event source, {expected}", seen, f"the function {function}")
    return str(queue)


async def schedule(run: Run) -> str:
    """Check that a rule invokes the sweep every SWEEP_MINUTES."""
    sweep = (await configuration(run, "sweep"))["FunctionArn"]
    answer = await run.aws.call("events", "list_rule_names_by_target", TargetArn=sweep)
    minutes = run.target.settings.get("SWEEP_MINUTES") or DEFAULT_MINUTES
    expected = ("ENABLED", f"rate({minutes} minute{'' if minutes == '1' else 's'})")
    seen = []
    for name in answer["RuleNames"]:
        rule = await run.aws.call("events", "describe_rule", Name=name)
        seen.append((rule["State"], rule.get("ScheduleExpression")))
    if seen != [expected]:
        raise FailedError(f"one rule, {expected}", seen, "EventBridge's rules")
    return expected[1]
