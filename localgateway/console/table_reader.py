"""Reads the connections table, and says what has changed since the last reading."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from localgateway.console.comparison import is_connection_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Scan = Callable[[Mapping[str, Any]], Mapping[str, Any]]

# Characters of a value, and attributes of a row, that are shown.
_VALUE = 300
_ATTRIBUTES = 40
# Rows, and characters of their JSON, in one line to the gateway, which leaves out longer ones than
# 1 MB; a row has 300 KB at most, if each character takes twelve (`\ud83d\ude00`).
BATCH = 50
BATCH_SIZE = 500_000


class TableReader:
    """Scans one table; `scan` makes the call with these parameters and returns its answer."""

    def __init__(self, scan: Scan, table: str, key: str) -> None:
        self._scan = scan
        self._table = table
        self._key = key
        self._known: dict[str, bytes] = {}

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the changes since the last reading in batches; the last one is `done`."""
        began, found = round(time.time() * 1000), {}
        changed: dict[str, Any] = {}
        others = size = 0
        for item in self._items():
            name = plain(item.get(self._key, {"NULL": True}))
            if not is_connection_id(name):
                others += 1
                continue
            found[name] = hashlib.blake2b(json.dumps(item).encode(), digest_size=8).digest()
            if self._known.get(name) == found[name]:
                continue
            row = shown(item)
            length = len(json.dumps(row))
            if len(changed) == BATCH or size + length > BATCH_SIZE:
                yield {"changed": changed}
                changed, size = {}, 0
            changed[name] = row
            size += length
        removed = [name for name in self._known if name not in found]
        self._known = found
        for start in range(0, len(removed), 20 * BATCH):
            yield {"removed": removed[start : start + 20 * BATCH]}
        yield {"changed": changed, "others": others, "began": began, "done": True}

    def forget(self) -> None:
        """Report every row in the next reading."""
        self._known = {}

    def _items(self) -> Iterator[Mapping[str, Any]]:
        parameters: dict[str, Any] = {"TableName": self._table, "ConsistentRead": True}
        while True:
            page = self._scan(parameters)
            yield from page["Items"]
            if (last := page.get("LastEvaluatedKey")) is None:
                return
            parameters["ExclusiveStartKey"] = last


def shown(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item for people: plain values; long values and names are cut."""
    attributes = list(item.items())[:_ATTRIBUTES]
    return {_short(name): _short(plain(value)) for name, value in attributes}


def plain(value: Mapping[str, Any]) -> Any:
    """Return an attribute value of DynamoDB as JSON would have it."""
    [(kind, content)] = value.items()
    match kind:
        case "N":
            return _number(content)
        case "NULL":
            return None
        case "M":
            return {name: plain(each) for name, each in content.items()}
        case "L":
            return [plain(each) for each in content]
        case "NS":
            return [_number(each) for each in content]
        case _:
            return content


def _number(text: str) -> int | float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number if abs(number) < 1e300 else text


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _VALUE else f"{value[:_VALUE]}…"
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
        return value if len(text) <= _VALUE else f"{text[:_VALUE]}…"
    return value
