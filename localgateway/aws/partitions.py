"""Queries of a table: only the rows of one partition, where moto sorts all rows of the table."""

from __future__ import annotations

import copy
import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.dynamodb.models.dynamo_type import DynamoType


@functools.cache
def query_partitions() -> None:
    """Make moto's queries look at the partition that they name, not at the whole table."""
    Table.query = _of_partition(Table.query)  # type: ignore[method-assign] # moto has no setting


def _of_partition(query: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(query)
    def query_partition(self: Table, hash_key: DynamoType | None, *rest: Any, **named: Any) -> Any:
        if named.get("index_name") or hash_key is None or hash_key not in self.items:
            return query(self, hash_key, *rest, **named)
        partition = copy.copy(self)
        rows: Any = defaultdict(dict, {hash_key: self.items[hash_key]})
        partition.items = rows
        return query(partition, hash_key, *rest, **named)

    return query_partition
