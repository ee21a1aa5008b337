"""Tables, event buses and topics of a resources file, as the calls that create them need them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localgateway.errors import ResourcesError
from localgateway.resources.intrinsics import Values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

# The properties that CreateTable takes as they are. Others change nothing here, such as backups.
_TABLE = (
    *("TableName", "KeySchema", "AttributeDefinitions", "BillingMode", "ProvisionedThroughput"),
    *("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "StreamSpecification"),
)
_TOPIC_ATTRIBUTES = ("FifoTopic", "ContentBasedDeduplication")


@dataclass(frozen=True)
class Table:
    """The arguments of CreateTable, and the attribute with each row's time to live, if any."""

    create: Mapping[str, Any]
    ttl_attribute: str | None

    @property
    def name(self) -> str:
        """Return its name."""
        name: str = self.create["TableName"]
        return name


@dataclass(frozen=True)
class Resources:
    """What the gateway creates; topics have the attributes of CreateTopic, by name."""

    tables: tuple[Table, ...] = ()
    buses: tuple[str, ...] = ()
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_resources(path: Path, parameters: Mapping[str, str]) -> Resources:
    """Return what the JSON template at `path` defines; raise `ResourcesError` if it is invalid.

    Only the properties that the gateway uses have to be known here: a project may have resources
    and functions of any kind besides. A resource without a name has its logical id.
    """
    template = read(path)
    with understood(path):
        values = Values.of(template, parameters)

    def found(kind: str, *wanted: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return _properties(template, values, kind, wanted)

    with understood(path):
        return Resources(
            tuple(
                _table(logical_id, properties)
                for logical_id, properties in found(
                    "AWS::DynamoDB::Table", *_TABLE, "TimeToLiveSpecification"
                )
            ),
            tuple(
                str(properties.get("Name", logical_id))
                for logical_id, properties in found("AWS::Events::EventBus", "Name")
            ),
            {
                str(properties.pop("TopicName", logical_id)): {
                    name: str(value).lower() for name, value in properties.items()
                }
                for logical_id, properties in found(
                    "AWS::SNS::Topic", "TopicName", *_TOPIC_ATTRIBUTES
                )
            },
        )


@contextlib.contextmanager
def understood(path: Path) -> Iterator[None]:
    """Raise `ResourcesError`, which names the file, if the block cannot use its values."""
    try:
        yield
    except ResourcesError as error:
        raise ResourcesError(f"cannot use {path}: {error}") from error
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ResourcesError(f"cannot use {path}: a value has another form: {error}") from error


def read(path: Path) -> dict[str, Any]:
    """Return the JSON template at `path`; raise `ResourcesError` if it is not one."""
    try:
        template: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise ResourcesError(f"cannot read {path} as a JSON template: {error}") from error
    found = template.get("Resources", {}) if isinstance(template, dict) else None
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise ResourcesError(
            f'cannot read {path} as a JSON template: expected {{"Resources": {{"Name": {{}}}}}}'
        )
    checked: dict[str, Any] = template
    return checked


def _properties(
    template: Mapping[str, Any], values: Values, kind: str, wanted: Collection[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in template.get("Resources", {}).items():
        condition = resource.get("Condition")
        if resource.get("Type") == kind and (condition is None or values.holds(condition)):
            given = resource.get("Properties", {})
            yield logical_id, values.resolve({k: given[k] for k in wanted if k in given})


def _table(logical_id: str, properties: dict[str, Any]) -> Table:
    properties["TableName"] = properties.get("TableName", logical_id)
    ttl = properties.pop("TimeToLiveSpecification", {})
    if "StreamSpecification" in properties:
        # CloudFormation enables a stream by its view type alone; the API needs both fields.
        properties["StreamSpecification"] |= {"StreamEnabled": True}
    return Table(properties, ttl["AttributeName"] if ttl.get("Enabled") else None)
