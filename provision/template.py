"""Read tables, event buses, topics and queues from a CloudFormation template."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from provision.errors import MissingPropertyError, TemplateError, UnsupportedError
from provision.intrinsics import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_dynamodb.literals import BillingModeType
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
        SSESpecificationTypeDef,
        StreamSpecificationTypeDef,
    )

T = TypeVar("T")

_TABLE_PROPERTIES = (
    "TableName",
    "KeySchema",
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "StreamSpecification",
    "TimeToLiveSpecification",
    "SSESpecification",
    "PointInTimeRecoverySpecification",
)
_REQUIRED_TABLE_PROPERTIES = ("TableName", "KeySchema", "AttributeDefinitions", "BillingMode")
_QUEUE_ATTRIBUTES = (
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "MaximumMessageSize",
    "SqsManagedSseEnabled",
)
_TOPIC_POLICY_PROPERTIES = ("Topics", "PolicyDocument")


@dataclass(frozen=True)
class TableDefinition:
    """A table as the DynamoDB API describes it."""

    name: str
    key_schema: tuple[KeySchemaElementTypeDef, ...]
    attributes: tuple[AttributeDefinitionTypeDef, ...]
    billing_mode: BillingModeType
    indexes: tuple[GlobalSecondaryIndexTypeDef, ...] = ()
    stream: StreamSpecificationTypeDef | None = None
    ttl_attribute: str | None = None
    encryption: SSESpecificationTypeDef | None = None
    point_in_time_recovery: bool = False


@dataclass(frozen=True)
class QueueDefinition:
    """A queue, with its attributes as the SQS API takes them.

    Messages that were received so many times without success go to the queue with the logical id
    `dead_letters`.
    """

    name: str
    attributes: Mapping[str, str]
    dead_letters: str | None = None
    receives: int = 0


@dataclass(frozen=True)
class TopicPolicy:
    """The access policy of the topics with these ARNs."""

    topics: tuple[str, ...]
    document: Mapping[str, Any]


def load_tables(path: Path, parameters: Mapping[str, str]) -> list[TableDefinition]:
    """Return every AWS::DynamoDB::Table of the JSON template at `path`, in file order.

    Resolve functions and conditions from `parameters` and from the template's own defaults. Raise
    `TemplateError` if the file is not a JSON template, if a parameter has no allowed value, or if
    a table uses a function or property that this module does not support.
    """
    return list(_made(path, "AWS::DynamoDB::Table", parameters, _table).values())


def load_buses(path: Path, parameters: Mapping[str, str]) -> list[str]:
    """Return the name of every AWS::Events::EventBus of the JSON template at `path`.

    Resolve parameters and raise errors as `load_tables` does.
    """
    return list(_made(path, "AWS::Events::EventBus", parameters, _bus).values())


def load_topics(path: Path, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the logical id and name of every AWS::SNS::Topic of the JSON template at `path`.

    Resolve parameters and raise errors as `load_tables` does.
    """
    return _made(path, "AWS::SNS::Topic", parameters, _topic)


def load_queues(path: Path, parameters: Mapping[str, str]) -> dict[str, QueueDefinition]:
    """Return the logical id and definition of every AWS::SQS::Queue of the template at `path`.

    Resolve parameters and raise errors as `load_tables` does.
    """
    with _understood(path):
        template = read(path)
        values = Values.of(template, parameters)
        return {
            logical_id: _queue(logical_id, dict(resource.get("Properties", {})), values)
            for logical_id, resource in template.get("Resources", {}).items()
            if resource.get("Type") == "AWS::SQS::Queue"
        }


def load_topic_policies(path: Path, parameters: Mapping[str, str]) -> list[TopicPolicy]:
    """Return every AWS::SNS::TopicPolicy of the JSON template at `path`.

    `parameters` also hold the ARN of each topic under its logical id, and `AWS::AccountId`.
    Resolve parameters and raise errors as `load_tables` does.
    """
    return list(_made(path, "AWS::SNS::TopicPolicy", parameters, _topic_policy).values())


def _made(
    path: Path, kind: str, parameters: Mapping[str, str], make: Callable[[str, dict[str, Any]], T]
) -> dict[str, T]:
    """Return what `make` makes of each resource of a type, by logical id."""
    with _understood(path):
        return {name: make(name, given) for name, given in _resources(path, kind, parameters)}


@contextlib.contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Raise `TemplateError`, which names the file, for a value of another form."""
    try:
        yield
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise TemplateError(f"cannot use {path}: a value has another form: {error}") from error


def _resources(
    path: Path, kind: str, parameters: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    template = read(path)
    values = Values.of(template, parameters)
    for logical_id, resource in template.get("Resources", {}).items():
        if resource.get("Type") == kind:
            yield logical_id, values.resolve(resource.get("Properties", {}))


def read(path: Path) -> dict[str, Any]:
    """Return the JSON template at `path`. Raise `TemplateError` if it is not one."""
    try:
        template = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise TemplateError(f"cannot read {path} as a JSON template: {error}") from error
    if not isinstance(template, dict):
        raise TemplateError(f"{path} contains a JSON {type(template).__name__}; expected an object")
    return template


def _bus(logical_id: str, properties: Mapping[str, Any]) -> str:
    return _only_property(f"event bus {logical_id}", properties, "Name")


def _topic(logical_id: str, properties: Mapping[str, Any]) -> str:
    return _only_property(f"topic {logical_id}", properties, "TopicName")


def _only_property(resource: str, properties: Mapping[str, Any], name: str) -> str:
    _check_names(resource, properties, supported=(name,), required=(name,))
    value: str = properties[name]
    return value


def _queue(logical_id: str, properties: dict[str, Any], values: Values) -> QueueDefinition:
    resource = f"queue {logical_id}"
    redrive = properties.pop("RedrivePolicy", None)
    supported = ("QueueName", *_QUEUE_ATTRIBUTES)
    _check_names(resource, properties, (*supported, "RedrivePolicy"), required=("QueueName",))
    given = values.resolve(properties)
    name = given.pop("QueueName")
    attributes = {each: str(value).lower() for each, value in given.items()}
    match redrive:
        case None:
            return QueueDefinition(name, attributes)
        case {"deadLetterTargetArn": {"Fn::GetAtt": [str(other), "Arn"]}, "maxReceiveCount": times}:
            return QueueDefinition(name, attributes, other, times)
    expected = ("the Arn of a queue of the template and a maxReceiveCount",)
    raise UnsupportedError("property", f"RedrivePolicy {redrive} of {resource}", expected)


def _topic_policy(logical_id: str, properties: Mapping[str, Any]) -> TopicPolicy:
    names = _TOPIC_POLICY_PROPERTIES
    _check_names(f"topic policy {logical_id}", properties, names, names)
    return TopicPolicy(tuple(properties["Topics"]), properties["PolicyDocument"])


def _check_names(
    resource: str,
    properties: Mapping[str, Any],
    supported: Collection[str],
    required: Collection[str],
) -> None:
    for name in properties:
        if name not in supported:
            raise UnsupportedError("property", f"{name} of {resource}", supported)
    for name in required:
        if name not in properties:
            raise MissingPropertyError(resource, name)


def _table(logical_id: str, properties: Mapping[str, Any]) -> TableDefinition:
    _check_names(f"table {logical_id}", properties, _TABLE_PROPERTIES, _REQUIRED_TABLE_PROPERTIES)
    return TableDefinition(
        name=properties["TableName"],
        key_schema=tuple(properties["KeySchema"]),
        attributes=tuple(properties["AttributeDefinitions"]),
        billing_mode=properties["BillingMode"],
        indexes=tuple(properties.get("GlobalSecondaryIndexes", ())),
        stream=_stream(properties.get("StreamSpecification")),
        ttl_attribute=_ttl_attribute(properties.get("TimeToLiveSpecification", {})),
        encryption=_encryption(properties.get("SSESpecification")),
        point_in_time_recovery=properties.get("PointInTimeRecoverySpecification", {}).get(
            "PointInTimeRecoveryEnabled", False
        ),
    )


def _stream(specification: Mapping[str, Any] | None) -> StreamSpecificationTypeDef | None:
    # CloudFormation enables a stream by its view type alone; the API needs both fields.
    if specification is None:
        return None
    return {"StreamEnabled": True, "StreamViewType": specification["StreamViewType"]}


def _encryption(specification: Mapping[str, Any] | None) -> SSESpecificationTypeDef | None:
    if specification is None:
        return None
    return {"Enabled": specification["SSEEnabled"]}


def _ttl_attribute(specification: Mapping[str, Any]) -> str | None:
    return specification["AttributeName"] if specification.get("Enabled") else None
