"""Rules of the embedded EventBridge: those of `@app.on_cw_event` and those of the template."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import boto3

from localgateway.errors import ResourcesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.aws.template_values import TemplateValues

_log = logging.getLogger(__name__)


def put_own_rule(rule: str, pattern: str, function: str) -> None:
    """Create the rule of an `@app.on_cw_event` on the default bus."""
    _put(rule, pattern, "default", [function])


def put_rules(template: TemplateValues, functions: Mapping[str, str]) -> None:
    """Create the rules of the template that run functions; `functions` are by logical id.

    Rules with other targets, or with functions that the gateway cannot resolve, are left out.
    """
    for logical_id, properties in template.of("AWS::Events::Rule"):
        targets = [
            functions[name]
            for target in properties.get("Targets", ())
            if (name := _function(target.get("Arn"))) in functions
        ]
        if not targets or "EventPattern" not in properties:
            continue
        try:
            pattern = json.dumps(template.resolve(properties["EventPattern"]))
            name = template.resolve(properties.get("Name", logical_id))
            bus = template.resolve(properties.get("EventBusName", "default"))
        except ResourcesError as error:
            _log.warning("rule %s is not served: %s", logical_id, error)
        else:
            _put(name, pattern, bus, targets)


def _function(arn: Any) -> str:
    match arn:
        case {"Fn::GetAtt": [str(name), "Arn"]}:
            return name
    return ""


def _put(rule: str, pattern: str, bus: str, functions: list[str]) -> None:
    client = boto3.client("events")
    arn = client.put_rule(Name=rule, EventPattern=pattern, EventBusName=bus)["RuleArn"]
    _, partition, _, region, account, _ = arn.split(":", 5)
    prefix = f"arn:{partition}:lambda:{region}:{account}:function:"
    targets: Any = [{"Id": name[-64:], "Arn": f"{prefix}{name}"} for name in functions]
    client.put_targets(Rule=rule, EventBusName=bus, Targets=targets)
