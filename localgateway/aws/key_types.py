"""The types of keys: DynamoDB refuses a key of another type than the schema's; moto takes it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models import DynamoDBBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from moto.dynamodb.models.table import Table

_PUT = (
    "One or more parameter values were invalid: Type mismatch for Index Key {} Expected: {} "
    "Actual: {} IndexName: {}"
)
_UPDATE = "The update expression attempted to update the secondary index key to unsupported type"
_KEY = "The provided key element does not match the schema"
_CONDITION = (
    "One or more parameter values were invalid: Condition parameter type does not match schema type"
)


def check_index_keys(table: Table, item: Mapping[str, Any], *, updated: bool = False) -> None:
    """Raise moto's ValidationException if an index key of `item` has a wrong type."""
    types = _types(table)
    for index in (*(table.global_indexes or ()), *(table.indexes or ())):
        for name in index.schema_key_attrs:
            if name in item and (actual := next(iter(item[name]))) != types[name]:
                text = _PUT.format(name, types[name], actual, index.name)
                raise MockValidationException(_UPDATE if updated else text)


@functools.cache
def check_keys_and_conditions() -> None:
    """Make moto refuse keys and key conditions of another type than the schema's."""
    backend: Any = DynamoDBBackend
    for name in ("get_item", "delete_item"):
        setattr(backend, name, _with_checked_key(getattr(backend, name)))
    backend.query = _with_checked_conditions(backend.query)


def _with_checked_key(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def checked(self: Any, table_name: str, key: Any = None, *rest: Any, **named: Any) -> Any:
        name = "keys" if "keys" in named else "key"
        key = named.pop(name, key)
        table = self.tables.get(table_name)
        # moto also looks rows up by whole items, whose keys it checks itself.
        if table is not None and key.keys() == set(table.table_key_attrs):
            _check(table, key.items(), _KEY)
        return call(self, table_name, key, *rest, **named)

    return checked


def _with_checked_conditions(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def checked(self: Any, table_name: str, *rest: Any, **named: Any) -> Any:
        table = self.tables.get(table_name)
        if table is not None:
            _check(table, _conditions(named), _CONDITION)
        return call(self, table_name, *rest, **named)

    return checked


def _conditions(named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from named.get("hash_key_conditions") or ()
    for name, _, values in named.get("range_key_conditions") or ():
        yield from ((name, value) for value in values)


def _check(table: Table, values: Iterable[tuple[str, Any]], message: str) -> None:
    types = _types(table)
    for name, value in values:
        if name in types and next(iter(value)) != types[name]:
            raise MockValidationException(message)


def _types(table: Table) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeType"] for each in table.attr}
