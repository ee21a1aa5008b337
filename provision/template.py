"""Reads DynamoDB tables, EventBridge buses and SNS topics from a CloudFormation template."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import ParameterError, TemplateError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_dynamodb.literals import BillingModeType
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
        SSESpecificationTypeDef,
        StreamSpecificationTypeDef,
    )

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
_NEEDED_OF_A_TABLE = ("TableName", "KeySchema", "AttributeDefinitions", "BillingMode")
_BUS_PROPERTIES = ("Name",)
_TOPIC_PROPERTIES = ("TopicName",)
_TOPIC_POLICY_PROPERTIES = ("Topics", "PolicyDocument")
_FUNCTIONS = ("Ref", "Fn::Sub")
_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]+)}")


@dataclass(frozen=True)
class TableDefinition:
    """One table in the terms of the DynamoDB API."""

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
class TopicPolicy:
    """What the topics with these ARNs allow, and whom."""

    topics: tuple[str, ...]
    document: Mapping[str, Any]


def load_tables(path: Path, parameters: Mapping[str, str]) -> list[TableDefinition]:
    """Load every AWS::DynamoDB::Table of the JSON template at `path`, in the order of the file.

    Ref and Fn::Sub are resolved to `parameters`, completed by the template's own defaults.
    Raises TemplateError for a file that is not a JSON template, a parameter without an allowed
    value, and whatever else of CloudFormation a table uses: nothing is left out silently.
    """
    return [
        _table(logical_id, properties)
        for logical_id, properties in _resources(path, "AWS::DynamoDB::Table", parameters)
    ]


def load_buses(path: Path, parameters: Mapping[str, str]) -> list[str]:
    """Load the name of every AWS::Events::EventBus of the JSON template at `path`.

    Resolves and raises as `load_tables` does.
    """
    return [
        _bus(logical_id, properties)
        for logical_id, properties in _resources(path, "AWS::Events::EventBus", parameters)
    ]


def load_topics(path: Path, parameters: Mapping[str, str]) -> dict[str, str]:
    """Load the name of every AWS::SNS::Topic of the JSON template at `path`, by its logical id.

    Resolves and raises as `load_tables` does.
    """
    return {
        logical_id: _topic(logical_id, properties)
        for logical_id, properties in _resources(path, "AWS::SNS::Topic", parameters)
    }


def load_topic_policies(path: Path, parameters: Mapping[str, str]) -> list[TopicPolicy]:
    """Load every AWS::SNS::TopicPolicy of the JSON template at `path`.

    `parameters` hold the ARN of each topic as well, under its logical id, and AWS::AccountId.
    Resolves and raises as `load_tables` does.
    """
    return [
        _topic_policy(logical_id, properties)
        for logical_id, properties in _resources(path, "AWS::SNS::TopicPolicy", parameters)
    ]


def _resources(
    path: Path, kind: str, parameters: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    template = _read(path)
    values = _parameter_values(template.get("Parameters", {}), parameters)
    for logical_id, resource in template.get("Resources", {}).items():
        if resource.get("Type") == kind:
            yield logical_id, _resolve(resource.get("Properties", {}), values)


def _read(path: Path) -> dict[str, Any]:
    try:
        template = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateError(f"cannot read a JSON template from {path}: {error}") from error
    if not isinstance(template, dict):
        raise TemplateError(f"{path} holds a {type(template).__name__}; accepted: a JSON object")
    return template


def _parameter_values(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]
) -> Mapping[str, str]:
    defaults = {name: spec["Default"] for name, spec in declared.items() if "Default" in spec}
    values = {**defaults, **given}
    for name, spec in declared.items():
        allowed = spec.get("AllowedValues", ())
        if name not in values or (allowed and values[name] not in allowed):
            raise ParameterError(name, values.get(name), allowed)
    return values


def _resolve(value: Any, parameters: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolve(item, parameters) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": str(name)}:
            return _parameter(name, parameters)
        case {"Fn::Sub": str(text)}:
            return _SUBSTITUTION.sub(lambda found: _substitute(found, parameters), text)
    for name in value:
        if name.startswith("Fn::") or name == "Ref":
            raise UnsupportedError("function", f"{name} of {value[name]}", _FUNCTIONS)
    return {name: _resolve(item, parameters) for name, item in value.items()}


def _substitute(found: re.Match[str], parameters: Mapping[str, str]) -> str:
    literal, name = found.groups()
    return f"${{{name}}}" if literal else _parameter(name, parameters)


def _parameter(name: str, parameters: Mapping[str, str]) -> str:
    if name not in parameters:
        raise ParameterError(name, None, ())
    return parameters[name]


def _bus(logical_id: str, properties: Mapping[str, Any]) -> str:
    _check_names(f"event bus {logical_id}", properties, _BUS_PROPERTIES, _BUS_PROPERTIES)
    name: str = properties["Name"]
    return name


def _topic(logical_id: str, properties: Mapping[str, Any]) -> str:
    _check_names(f"topic {logical_id}", properties, _TOPIC_PROPERTIES, _TOPIC_PROPERTIES)
    name: str = properties["TopicName"]
    return name


def _topic_policy(logical_id: str, properties: Mapping[str, Any]) -> TopicPolicy:
    names = _TOPIC_POLICY_PROPERTIES
    _check_names(f"topic policy {logical_id}", properties, names, names)
    return TopicPolicy(tuple(properties["Topics"]), properties["PolicyDocument"])


def _check_names(
    what: str, properties: Mapping[str, Any], supported: Collection[str], needed: Collection[str]
) -> None:
    for name in properties:
        if name not in supported:
            raise UnsupportedError("property", f"{name} of {what}", supported)
    for name in needed:
        if name not in properties:
            raise TemplateError(f"{what} has no {name}; it needs one")


def _table(logical_id: str, properties: Mapping[str, Any]) -> TableDefinition:
    _check_names(f"table {logical_id}", properties, _TABLE_PROPERTIES, _NEEDED_OF_A_TABLE)
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
    # CloudFormation enables a stream by naming its view; the API wants both.
    if specification is None:
        return None
    return {"StreamEnabled": True, "StreamViewType": specification["StreamViewType"]}


def _encryption(specification: Mapping[str, Any] | None) -> SSESpecificationTypeDef | None:
    if specification is None:
        return None
    return {"Enabled": specification["SSEEnabled"]}


def _ttl_attribute(specification: Mapping[str, Any]) -> str | None:
    return specification["AttributeName"] if specification.get("Enabled") else None
