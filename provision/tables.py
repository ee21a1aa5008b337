"""Create a DynamoDB table, or add to an existing one what its definition has and it lacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.waiter import WaiterModel, create_waiter_with_client

from provision.errors import TableMismatchError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from provision.template import TableDefinition

_log = logging.getLogger(__name__)

# DynamoDB needs a while to set up the backups of a new table and refuses to enable them before.
_BACKUPS_AVAILABLE = WaiterModel(
    {
        "version": 2,
        "waiters": {
            "BackupsAvailable": {
                "operation": "UpdateContinuousBackups",
                "delay": 2,
                "maxAttempts": 60,
                "acceptors": [
                    {"matcher": "status", "expected": 200, "state": "success"},
                    {
                        "matcher": "error",
                        "expected": "ContinuousBackupsUnavailableException",
                        "state": "retry",
                    },
                ],
            }
        },
    }
)
# botocore's own waiters check the table only, not its indexes.
_INDEXES_ACTIVE = WaiterModel(
    {
        "version": 2,
        "waiters": {
            "IndexesActive": {
                "operation": "DescribeTable",
                "delay": 5,
                "maxAttempts": 720,
                "acceptors": [
                    {
                        "matcher": "path",
                        "argument": "length(Table.GlobalSecondaryIndexes[?IndexStatus != 'ACTIVE']"
                        " || `[]`)",
                        "expected": 0,
                        "state": "success",
                    },
                ],
            }
        },
    }
)


def ensure(client: DynamoDBClient, definition: TableDefinition) -> None:
    """Create the table unless it exists, and add the indexes, time to live and backups it lacks.

    Return once the table and its indexes are active. Raise `TableMismatchError` if an existing
    table has other keys, another time to live attribute, or an index that the definition lacks or
    defines differently: a person has to decide what becomes of the rows first.
    """
    _create_if_missing(client, definition)
    client.get_waiter("table_exists").wait(
        TableName=definition.name, WaiterConfig={"Delay": 2, "MaxAttempts": 150}
    )
    _add_indexes(client, definition, _check(client, definition))
    _set_time_to_live(client, definition)
    try:
        _set_backups(client, definition)
    except ClientError as error:
        # DynamoDB Local has no backups.
        if error.response["Error"]["Code"] != "UnknownOperationException":
            raise
        _log.warning(
            "table %s: this DynamoDB does not support point-in-time recovery", definition.name
        )


def _create_if_missing(client: DynamoDBClient, definition: TableDefinition) -> None:
    try:
        client.describe_table(TableName=definition.name)
    except client.exceptions.ResourceNotFoundException:
        _create(client, definition)
    else:
        _log.info("table %s already exists", definition.name)


def _create(client: DynamoDBClient, definition: TableDefinition) -> None:
    optional: dict[str, Any] = {
        "GlobalSecondaryIndexes": definition.indexes,
        "StreamSpecification": definition.stream,
        "SSESpecification": definition.encryption,
    }
    try:
        client.create_table(
            TableName=definition.name,
            KeySchema=definition.key_schema,
            AttributeDefinitions=definition.attributes,
            BillingMode=definition.billing_mode,
            **{name: value for name, value in optional.items() if value},
        )
    except client.exceptions.ResourceInUseException:
        _log.info("another process is creating table %s", definition.name)
    else:
        _log.info("created table %s", definition.name)


def _check(client: DynamoDBClient, definition: TableDefinition) -> list[str]:
    """Compare the table with its definition and return the names of its indexes."""
    table = client.describe_table(TableName=definition.name)["Table"]
    types = {a["AttributeName"]: a["AttributeType"] for a in definition.attributes}
    found_types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    found = _keys(table["KeySchema"], found_types)
    defined = _keys(definition.key_schema, types)
    if found != defined:
        raise TableMismatchError(definition.name, "keys", found, defined)
    found_indexes = {
        index["IndexName"]: _index(index, found_types)
        for index in table.get("GlobalSecondaryIndexes", ())
    }
    indexes = {index["IndexName"]: _index(index, types) for index in definition.indexes}
    if not found_indexes.items() <= indexes.items():
        raise TableMismatchError(definition.name, "indexes", found_indexes, indexes)
    return list(found_indexes)


def _add_indexes(client: DynamoDBClient, definition: TableDefinition, found: list[str]) -> None:
    active = create_waiter_with_client("IndexesActive", _INDEXES_ACTIVE, client)
    active.wait(TableName=definition.name)
    for index in definition.indexes:
        if index["IndexName"] not in found:
            client.update_table(
                TableName=definition.name,
                AttributeDefinitions=definition.attributes,
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            active.wait(TableName=definition.name)  # DynamoDB creates one at a time
            _log.info("added index %s to table %s", index["IndexName"], definition.name)


def _keys(schema: Any, types: dict[str, Any]) -> list[str]:
    return [f"{k['AttributeName']} ({types[k['AttributeName']]}, {k['KeyType']})" for k in schema]


def _index(index: Any, types: dict[str, Any]) -> list[str]:
    """Describe an index by its keys, and by what it has of the rows unless it has them whole."""
    projection = index.get("Projection", {})
    kind = projection.get("ProjectionType", "ALL")
    parts = [] if kind == "ALL" else [kind, *sorted(projection.get("NonKeyAttributes", ()))]
    return [*_keys(index["KeySchema"], types), *parts]


def _set_time_to_live(client: DynamoDBClient, definition: TableDefinition) -> None:
    attribute = definition.ttl_attribute
    found = client.describe_time_to_live(TableName=definition.name)["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
        if found["AttributeName"] != attribute:
            raise TableMismatchError(
                definition.name, "time to live on", found["AttributeName"], attribute
            )
    elif attribute is not None:
        client.update_time_to_live(
            TableName=definition.name,
            TimeToLiveSpecification={"AttributeName": attribute, "Enabled": True},
        )
        _log.info("enabled time to live of table %s on attribute %s", definition.name, attribute)


def _set_backups(client: DynamoDBClient, definition: TableDefinition) -> None:
    if definition.point_in_time_recovery and not _has_backups(client, definition.name):
        waiter = create_waiter_with_client("BackupsAvailable", _BACKUPS_AVAILABLE, client)
        waiter.wait(
            TableName=definition.name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
        _log.info("enabled point-in-time recovery of table %s", definition.name)


def _has_backups(client: DynamoDBClient, table: str) -> bool:
    found = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = found.get("PointInTimeRecoveryDescription", {})
    return recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
