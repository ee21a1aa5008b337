"""The resources of a project's template, with names in place of references to other resources."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """The queues, buses and rules of a template."""

    resources: Mapping[str, Any]
    values: Values

    @classmethod
    def read(cls, path: Path, stage: str) -> TemplateValues:
        """Return those of the JSON template at `path`. Raise `ResourcesError` if it is not one."""
        template = read(path)
        values = Values.of(template, {"Stage": stage})
        resources = {
            name: resource
            for name, resource in template.get("Resources", {}).items()
            if resource.get("Type") in {*_NAMES, "AWS::Events::Rule"}
        }
        names = {
            logical_id: values.resolve(resource["Properties"][_NAMES[resource["Type"]]])
            for logical_id, resource in resources.items()
            if _NAMES.get(resource["Type"]) in resource.get("Properties", {})
        }
        return cls(resources, Values({**values.parameters, **names}, values.conditions))

    def of(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the logical ids and properties of all resources of a type."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] == kind:
                yield logical_id, resource.get("Properties", {})

    def resolve(self, value: Any) -> Any:
        """Return a value without functions. Raise `ResourcesError` for one that is not known."""
        return self.values.resolve(self._with_arns(value))

    def _with_arns(self, value: Any) -> Any:
        match value:
            case {"Fn::GetAtt": [str(name), "Arn"]} if name in self.resources:
                if self.resources[name]["Type"] == "AWS::SQS::Queue":
                    return queue_arn(self.values.parameters[name])
            case dict():
                return {key: self._with_arns(each) for key, each in value.items()}
            case list():
                return [self._with_arns(each) for each in value]
        return value


def queue_arn(name: str) -> str:
    """Return the ARN of a queue in the embedded AWS."""
    return f"arn:aws:sqs:{os.environ['AWS_REGION']}:{_ACCOUNT}:{name}"
