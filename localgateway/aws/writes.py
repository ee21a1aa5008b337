"""Writes in moto's DynamoDB: all or nothing, and only keys of the schema's types.

moto copies the tables of a transaction, leaves the first writes of a batch that fails, applies a
transaction again whose token it has seen, and does not check the types of index keys.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import time
from typing import TYPE_CHECKING, Any

from moto.dynamodb.exceptions import DynamodbException, TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from localgateway.aws.key_types import check_index_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# In seconds, for which DynamoDB knows the token of a transaction.
_TOKENS_LAST = 600.0
_TYPE = "com.amazonaws.dynamodb.v20120810#"
_REASONS = frozenset(
    {
        *("None", "ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded"),
        *("TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"),
        "ValidationError",
    }
)

# The undo steps of each batch or transaction that runs; DynamoDB runs on one thread.
_journals: list[list[Callable[[], None]]] = []


@functools.cache
def make_atomic() -> None:
    """Make each of moto's writes, batches and transactions apply whole or not at all."""
    backend: Any = DynamoDBBackend
    backend.put_item = _recorded(backend.put_item, "item_attrs")
    backend.update_item = _recorded(backend.update_item, "key")
    backend.delete_item = _recorded(backend.delete_item, "key")
    backend.transact_write_items = _transaction(backend.transact_write_items)
    handler: Any = DynamoHandler
    handler.batch_write_item = _whole(handler.batch_write_item)
    handler.transact_write_items = _once(handler.transact_write_items)


def _recorded(write: Callable[..., Any], key_name: str) -> Callable[..., Any]:
    @functools.wraps(write)
    def write_or_undo(self: Any, table_name: str, key: Any = None, *rest: Any, **named: Any) -> Any:
        key = named.pop(key_name, key)
        with _undone_on_error() as journal:
            table = self.tables.get(table_name)
            if table is not None:
                journal.append(_restore(table, key, changes_in_place=key_name == "key"))
                if key_name == "item_attrs":
                    check_index_keys(table, key)
            written = write(self, table_name, key, *rest, **named)
            if isinstance(written, Item) and write.__name__ == "update_item":
                check_index_keys(table, written.to_json()["Attributes"], updated=True)
            return written

    return write_or_undo


def _whole(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def write_or_undo(*arguments: Any) -> Any:
        with _undone_on_error():
            return write(*arguments)

    return write_or_undo


def _transaction(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def write_or_cancel(*arguments: Any) -> Any:
        # moto copies each table, to put the copy in its place after an error.
        Table.__deepcopy__ = lambda self, _: self  # type: ignore[attr-defined]
        try:
            with _undone_on_error():
                return write(*arguments)
        except TransactionCanceledException as error:
            raise _with_known_reasons(error) from error
        finally:
            del Table.__deepcopy__  # type: ignore[attr-defined]

    return write_or_cancel


def _with_known_reasons(error: TransactionCanceledException) -> TransactionCanceledException:
    reasons = [
        (
            None if (code := reason["Code"]) == "None" else _reason(code),
            reason.get("Message"),
            reason.get("Item"),
        )
        for reason in json.loads(error.description)["CancellationReasons"]
    ]
    return TransactionCanceledException(reasons)


def _reason(code: str) -> str:
    # moto names the Python exceptions of invalid calls.
    return code if code in _REASONS else "ValidationError"


def _once(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    done: dict[tuple[str, str], tuple[float, str, Any]] = {}

    @functools.wraps(write)
    def write_once(self: Any) -> Any:
        token = self.body.get("ClientRequestToken")
        if token is None:
            return write(self)
        now = time.monotonic()
        for old in [key for key, (until, _, _) in done.items() if until < now]:
            del done[old]
        wanted = json.dumps(self.body["TransactItems"], sort_keys=True)
        _, known, result = done.get((self.region, token), (0.0, wanted, None))
        if known != wanted:
            raise DynamodbException(
                f"{_TYPE}IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        if result is None:
            result = write(self)
            done[self.region, token] = (now + _TOKENS_LAST, wanted, result)
        return result

    return write_once


@contextlib.contextmanager
def _undone_on_error() -> Iterator[list[Callable[[], None]]]:
    journal: list[Callable[[], None]] = []
    _journals.append(journal)
    try:
        yield journal
    except BaseException:
        for undo in reversed(journal):
            undo()
        journal.clear()
        raise
    finally:
        _journals.pop()
        if _journals:
            _journals[-1].extend(journal)


def _restore(table: Table, key: Mapping[str, Any], *, changes_in_place: bool) -> Callable[[], None]:
    names = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
    try:
        values = [DynamoType(key[name]) for name in names]
        found: Any = table.items
        for value in values:
            found = found.get(value)
            if found is None:
                break
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return lambda: None  # an invalid key, which moto refuses
    saved = copy.deepcopy(found) if changes_in_place else found
    records = None if table.stream_shard is None else len(table.stream_shard.items)

    def restore() -> None:
        items: Any = table.items
        for value in values[:-1]:
            items = items[value]
        if saved is None:
            items.pop(values[-1], None)
        else:
            items[values[-1]] = saved
        if table.stream_shard is not None and records is not None:
            del table.stream_shard.items[records:]

    return restore
