"""Changes the connections table, and reads it by what it inherits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.attempts import FOLLOWING_S
from chalicelib.adapters.table import CONFLICT
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.errors import MalformedRowError, StoreError
from chalicelib.domain.rows import from_item, to_item
from chalicelib.reader import ConnectionReader, key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection, Intent
    from chalicelib.domain.rows import Item

# Two deliveries of one `$connect` may undo each other's row this often.
PUT_ROUNDS = 3

_IS_UNCHANGED = "createdAt = :createdAt"


@dataclass(frozen=True)
class Removed:
    """A row was removed by this caller. `connection` is None if its content was lost."""

    connection: Connection | None


@dataclass(frozen=True)
class ConnectionStore(ConnectionReader):
    """The rows of one connections table, for one invocation. Times are epoch ms."""

    def put(self, connection: Connection, retries: Deadline | None = None) -> None:
        """Store the row of a connection, whose `$connect` may be delivered twice at once.

        If the other delivery has stored its row, this one takes it over by setting `createdAt`
        and `ttl`, so that the other one's clean-up cannot remove it. Costs one PutItem, and one
        UpdateItem to take a row over. Attempts after the first end by `retries`, if given.
        """
        for _ in range(PUT_ROUNDS):
            try:
                self.call(
                    "put_item",
                    Item=to_item(connection),
                    ConditionExpression="attribute_not_exists(connectionId)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    retries=retries,
                )
            except StoreError as error:
                if error.code != CONFLICT:
                    raise
                if self._taken_over(connection, error.item):
                    return
            else:
                return
        raise StoreError("PutItem", self.table, CONFLICT, "the row keeps changing", uncertain=True)

    def _taken_over(self, connection: Connection, item: Any) -> bool:
        """Make the existing row this connection's. Return False if it has changed meanwhile."""
        try:
            existing = from_item(item) if item else self.get(connection.connection_id)
        except MalformedRowError:  # ids are never reused, so it is not a connection's
            self.call("put_item", Item=to_item(connection))
            return True
        if existing is None:
            return False
        if existing.created_at == connection.created_at:  # an attempt whose answer was lost
            return True
        values = _created_at(existing) | {
            ":mine": {"N": str(connection.created_at)},
            ":ttl": {"N": str(connection.ttl)},
        }
        try:
            return self.call_if(
                "update_item",
                Key=key(connection.connection_id),
                UpdateExpression="SET createdAt = :mine, #ttl = :ttl",
                ConditionExpression=_IS_UNCHANGED,
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=values,
            )
        except StoreError as error:
            # Not uncertain: the other delivery may have opened the connection by this row, so that
            # the refusal of this one must not remove it.
            raise StoreError(error.operation, error.table, error.code, error.cause) from error

    def delete(self, connection_id: str) -> Removed | None:
        """Remove one row, or return None if there was none to remove.

        When an answer was lost, a row that is not there counts as removed by this call: its end
        is rather told twice than never. Raises `MalformedRowError`, after the removal, for a row
        that was not a connection.
        """
        try:
            answer = self.call(
                "delete_item",
                Key=key(connection_id),
                ReturnValues="ALL_OLD",
                retries=self.deadline.minus(FOLLOWING_S),  # leaves time for the read that settles
            )
        except StoreError as error:
            if not error.uncertain or self._exists(connection_id, error):
                raise
            return Removed(None)
        if "Attributes" in answer.body:
            return Removed(from_item(answer.body["Attributes"]))
        return Removed(None) if answer.repeated else None

    def remove(self, judged: Connection) -> Connection | None:
        """Remove the row of `judged` unless it was replaced since, and return it.

        Returns None if another caller removed it. When an answer was lost, a row that is not
        there counts as removed by this call, and `judged` is returned.
        """
        try:
            answer = self.call(
                "delete_item",
                Key=key(judged.connection_id),
                ConditionExpression=_IS_UNCHANGED,
                ExpressionAttributeValues=_created_at(judged),
                ReturnValues="ALL_OLD",
                retries=self.deadline.minus(FOLLOWING_S),  # leaves time for the read that settles
            )
        except StoreError as error:
            conflict = error.code == CONFLICT
            if conflict and not error.repeated:
                return None
            if not (conflict or error.uncertain):
                raise
            if not self._exists(judged.connection_id, error):
                return judged
            if conflict:
                return None
            raise
        return from_item(answer.body["Attributes"])

    def remove_malformed(self, item: Item) -> bool:
        """Remove a row that is not a connection, if it has not changed. Return whether it did."""
        conditions, values = [], {}
        for name in ("createdAt", "ttl"):
            if name in item:
                conditions.append(f"#{name} = :{name}")
                values[f":{name}"] = item[name]
            else:
                conditions.append(f"attribute_not_exists(#{name})")
        given = {"ExpressionAttributeValues": values} if values else {}
        return self.call_if(
            "delete_item",
            Key={"connectionId": item["connectionId"]},
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames={"#createdAt": "createdAt", "#ttl": "ttl"},
            **given,
        )

    def _exists(self, connection_id: str, error: StoreError) -> bool:
        """Return whether a row is there after the uncertain `error`, by one consistent read."""
        try:
            return self.get(connection_id) is not None
        except MalformedRowError:
            return True
        except StoreError:
            raise error from None

    def mark_closing(self, connection: Connection, intent: Intent) -> bool:
        """Record why the server is about to close `connection`. Return whether its row exists.

        A connection that has expired is marked only if its token was not renewed since it was
        judged. Nothing stays of an earlier intent, which may have had a reason that this one has
        not, except that it is due.
        """
        values: dict[str, AttributeValueTypeDef] = {
            "closing": {"S": intent.cause},
            "closingAt": {"N": str(intent.at)},
        }
        if intent.reason is not None:
            values["closeReason"] = {"S": intent.reason}
        if intent.reconnect is not None:
            values["closeReconnect"] = {"BOOL": intent.reconnect}
        if intent.is_due:
            values["closeDue"] = {"BOOL": True}
        absent = [name for name in ("closeReason", "closeReconnect") if name not in values]
        expression = "SET " + ", ".join(f"{name} = :{name}" for name in values)
        condition = _IS_UNCHANGED
        if intent.cause == Cause.EXPIRED:
            values["expiresAt"] = {"N": str(connection.expires_at)}
            condition += " AND expiresAt = :expiresAt"
        return self._change_if(
            connection,
            f"{expression} REMOVE {', '.join(absent)}" if absent else expression,
            condition,
            {f":{name}": value for name, value in values.items()},
        )

    def _change_if(
        self,
        connection: Connection,
        expression: str,
        condition: str,
        values: Mapping[str, AttributeValueTypeDef],
    ) -> bool:
        """Update a row. Return whether the condition held, which this update does not change."""
        try:
            self.call(
                "update_item",
                Key=key(connection.connection_id),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues={**values, **_created_at(connection)},
            )
        except StoreError as error:
            if error.code != CONFLICT:
                raise
            return False
        return True

    def withdraw_closing(self, connection: Connection, intent: Intent) -> bool:
        """Remove the intent `intent` from the row, if it is still the row's."""
        values: dict[str, AttributeValueTypeDef] = {":at": {"N": str(intent.at)}}
        return self.call_if(
            "update_item",
            Key=key(connection.connection_id),
            UpdateExpression="REMOVE closing, closingAt, closeReason, closeReconnect"
            + (", closeDue" if intent.is_due else ""),
            ConditionExpression=f"{_IS_UNCHANGED} AND closingAt = :at",
            ExpressionAttributeValues=values | _created_at(connection),
        )

    def renew(self, connection: Connection, expires_at: int) -> bool:
        """Set when the client's token expires (epoch s). Costs one UpdateItem.

        Returns False if the row is another one's or is gone, or if the sweep has begun to close the
        connection because it has expired. The sweep marks only a row whose `expiresAt` is as it was
        judged, so that one of the two fails.
        """
        return self._change_if(
            connection,
            "SET expiresAt = :expiresAt",
            f"{_IS_UNCHANGED} AND (attribute_not_exists(closing) OR closing <> :expired)",
            {":expiresAt": {"N": str(expires_at)}, ":expired": {"S": Cause.EXPIRED}},
        )


def _created_at(connection: Connection) -> dict[str, AttributeValueTypeDef]:
    return {":createdAt": {"N": str(connection.created_at)}}
