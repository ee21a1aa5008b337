"""The resources of a project's template, with names in place of references to other resources."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localgateway.errors import ResourcesError
from localgateway.resources.intrinsics import Values
from localgateway.resources.template import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ACCOUNT = "123456789012"
# The property that names a resource.
_NAMES = {"AWS::SQS::Queue": "QueueName", "AWS::Events::EventBus": "Name"}


@dataclass(frozen=True)
class TemplateValues:
    """The queues, buses and rules of a template.

    `names` are those of queues and buses by logical id, as far as they are known here.
    """

    resources: Mapping[str, Any]
    values: Values
    names: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, stage: str) -> TemplateValues:
        """Return those of the JSON template at `path`. Raise `ResourcesError` if it is not one."""
        template = read(path)
        own = {"AWS::Region": os.environ["AWS_REGION"], "AWS::AccountId": _ACCOUNT}
        values = Values.of(template, {"Stage": stage, "AWS::Partition": "aws", **own})
        resources = {
            name: resource
            for name, resource in template.get("Resources", {}).items()
            if resource.get("Type") in {*_NAMES, "AWS::Events::Rule"}
        }
        names: dict[str, str] = {}
        for logical_id, resource in resources.items():
            if kind := _NAMES.get(resource["Type"]):
                given = resource.get("Properties", {}).get(kind, logical_id)
                with contextlib.suppress(ResourcesError):
                    names[logical_id] = values.resolve(given)
        return cls(resources, Values({**values.parameters, **names}, values.conditions), names)

    def of(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the logical ids and properties of all resources of a type."""
        for logical_id, resource in self.resources.items():
            condition = resource.get("Condition")
            if resource["Type"] == kind and (condition is None or self.values.holds(condition)):
                yield logical_id, resource.get("Properties", {})

    def resolve(self, value: Any) -> Any:
        """Return a value without functions. Raise `ResourcesError` for one that is not known."""
        return self.values.resolve(self._with_arns(value))

    def _with_arns(self, value: Any) -> Any:
        match value:
            case {"Fn::GetAtt": [str(name), "Arn"]} if name in self.names:
                if self.resources[name]["Type"] == "AWS::SQS::Queue":
                    return queue_arn(self.names[name])
            case dict():
                return {key: self._with_arns(each) for key, each in value.items()}
            case list():
                return [self._with_arns(each) for each in value]
        return value


def queue_arn(name: str) -> str:
    """Return the ARN of a queue in the embedded AWS."""
    return f"arn:aws:sqs:{os.environ['AWS_REGION']}:{_ACCOUNT}:{name}"
