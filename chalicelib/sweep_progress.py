"""The sweep's row in the connections table: its position, and the lease of the run that is active.

The lease keeps a second run out while one is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from chalicelib.adapters.table import CONFLICT, Table
from chalicelib.domain.errors import StoreError, SweepActiveError
from chalicelib.domain.sweep_position import SWEEP_ROW, from_item, to_item

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chalicelib.domain.sweep_position import Position

_KEY = {"connectionId": {"S": SWEEP_ROW}}


@dataclass(frozen=True)
class SweepProgress(Table):
    """The sweep's row, for one invocation. Times are epoch ms."""

    def begin(self, now_ms: int, until_ms: int) -> Position | None:
        """Take the lease until `until_ms`. Return the position, or None before the first run.

        Raises `SweepActiveError` while another run holds the lease. Saving the position ends it.
        """
        try:
            answer = self.call(
                "update_item",
                Key=_KEY,
                UpdateExpression="SET leaseUntil = :until",
                ConditionExpression="attribute_not_exists(leaseUntil) OR leaseUntil < :now",
                ExpressionAttributeValues={
                    ":until": {"N": str(until_ms)},
                    ":now": {"N": str(now_ms)},
                },
                ReturnValues="ALL_NEW",
            )
        except StoreError as error:
            if error.code != CONFLICT:
                raise
            if not error.repeated:
                raise SweepActiveError from error
            item = self._item()
            if item.get("leaseUntil") != {"N": str(until_ms)}:
                raise SweepActiveError from error
            return from_item(item)  # the lease was taken by an attempt whose answer was lost
        return from_item(answer.body["Attributes"])

    def end(self) -> None:
        """End the lease without a new position."""
        self.call("update_item", Key=_KEY, UpdateExpression="REMOVE leaseUntil")

    def position(self) -> Position | None:
        """Return the position, or None before the first run."""
        return from_item(self._item())

    def save(self, position: Position) -> None:
        """Save the position and end the lease."""
        self.call("put_item", Item=to_item(position))

    def _item(self) -> Mapping[str, Any]:
        response = self.call("get_item", Key=_KEY, ConsistentRead=True).body
        return cast("Mapping[str, Any]", response.get("Item", {}))
