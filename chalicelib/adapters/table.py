"""Calls on a DynamoDB table, with retries that heed a deadline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import Answer, CallError, call
from chalicelib.domain.errors import StoreError

if TYPE_CHECKING:
    from typing import Any, Self

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.clock import Deadline

CONFLICT = "ConditionalCheckFailedException"


def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client. Raises `BotoCoreError` when no region is configured."""
    return cast("DynamoDBClient", aws_clients.client("dynamodb"))


@dataclass(frozen=True)
class Table:
    """One table, for one invocation.

    Every method raises `StoreError` when DynamoDB does not confirm the operation; its code is
    `NotStarted` when too little time was left before `deadline`.
    """

    client: DynamoDBClient
    table: str
    deadline: Deadline

    @classmethod
    def open(cls, table: str, deadline: Deadline) -> Self:
        """Open `table` with the client of this execution environment, for calls until `deadline`.

        Raises `StoreError` when no client can be created, for example without a region.
        """
        try:
            return cls(dynamodb(), table, deadline)
        except BotoCoreError as error:
            raise StoreError("CreateClient", table, type(error).__name__, str(error)) from error

    def until(self, deadline: Deadline) -> Self:
        """Return the same table for calls that end by another deadline."""
        return replace(self, deadline=deadline)

    def call(self, method: str, **arguments: Any) -> Answer:
        """Call a method of the client on this table."""
        try:
            function = getattr(self.client, method)
            return call(function, self.deadline, TableName=self.table, **arguments)
        except CallError as error:
            operation = self.client.meta.method_to_api_mapping[method]
            raise StoreError(
                operation,
                self.table,
                error.code,
                error.cause,
                uncertain=error.uncertain,
                repeated=error.repeated,
                item=error.item,
            ) from error

    def call_if(self, method: str, **arguments: Any) -> bool:
        """Make a conditional call. Return False if its condition does not hold.

        A repeat of a call that was carried out may find its own change; that counts as success.
        """
        try:
            self.call(method, **arguments)
        except StoreError as error:
            if error.code != CONFLICT:
                raise
            return error.repeated
        return True
