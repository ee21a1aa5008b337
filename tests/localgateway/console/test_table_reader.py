"""Readings of the connections table."""

import json
from typing import Any

import pytest

from localgateway.console.table_reader import BATCH, TableReader, plain, shown


def item(number: int, **attributes: Any) -> dict[str, Any]:
    return {"id": {"S": f"{number:0>15}="}, **attributes}


class Pages:
    """A table that answers a Scan in pages of two items."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)
        self.calls: list[Any] = []

    def __call__(self, parameters: Any) -> Any:
        self.calls.append(dict(parameters))
        start = parameters.get("ExclusiveStartKey", 0)
        last = {"LastEvaluatedKey": start + 2} if start + 2 < len(self.items) else {}
        return {"Items": self.items[start : start + 2], **last}


def changes(reader: TableReader) -> tuple[dict[str, Any], set[str]]:
    """Read once and return the changed and the removed rows."""
    batches = list(reader.read())
    changed = {name: row for each in batches for name, row in each.get("changed", {}).items()}
    return changed, {name for each in batches for name in each.get("removed", ())}


def test_only_what_changed_is_reported() -> None:
    pages = Pages(item(1), item(2), item(3))
    reader = TableReader(pages, "Connections", "id")
    first = changes(reader)
    pages.items[1] = item(2, ttl={"N": "5"})
    del pages.items[2]

    second = changes(reader)
    third = changes(reader)

    assert len(first[0]) == 3
    assert second == ({f"{2:0>15}=": {"id": f"{2:0>15}=", "ttl": 5}}, {f"{3:0>15}="})
    assert third == ({}, set())


def test_each_page_is_read_consistently() -> None:
    pages = Pages(*map(item, range(5)))

    list(TableReader(pages, "Connections", "id").read())

    assert [call.get("ExclusiveStartKey") for call in pages.calls] == [None, 2, 4]
    assert all(call["ConsistentRead"] is True for call in pages.calls)


def test_rows_of_something_else_are_counted() -> None:
    pages = Pages(item(1), {"id": {"S": "#sweep"}}, {"other": {"S": "x"}})

    *_, last = TableReader(pages, "Connections", "id").read()

    assert (len(last["changed"]), last["others"], last["done"]) == (1, 2, True)


def test_many_rows_come_in_batches() -> None:
    pages = Pages(*map(item, range(2 * BATCH + 1)))

    batches = list(TableReader(pages, "Connections", "id").read())

    assert [len(each["changed"]) for each in batches] == [BATCH, BATCH, 1]


@pytest.mark.parametrize("character", ["\ud55c", "\U0001f600", "\x00", "\ud800"])
def test_no_line_is_longer_than_the_gateway_reads(character: str) -> None:
    """Long names and values are cut, whatever a character takes in JSON."""
    attributes = {f"{number}{character * 900}": {"S": character * 900} for number in range(40)}
    pages = Pages(*(item(number, **attributes) for number in range(5)))

    batches = list(TableReader(pages, "Connections", "id").read())

    assert max(len(json.dumps({"rows": each})) for each in batches) < 1_000_000
    assert sum(len(each["changed"]) for each in batches) == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"S": "x"}, "x"),
        ({"N": "1795870013321"}, 1795870013321),
        ({"N": "0.5"}, 0.5),
        ({"N": "1e400"}, "1e400"),
        ({"N": "123456789012345678901234567890"}, 1.2345678901234568e29),
        ({"BOOL": True}, True),
        ({"NULL": True}, None),
        ({"M": {"a": {"L": [{"N": "1"}, {"S": "b"}]}}}, {"a": [1, "b"]}),
        ({"NS": ["1", "2"]}, [1, 2]),
        ({"SS": ["a"]}, ["a"]),
    ],
)
def test_a_value_becomes_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_long_values_are_cut() -> None:
    row = shown({"a": {"S": "x" * 1000}, "b": {"L": [{"S": "y" * 1000}]}, "c": {"N": "1"}})

    assert len(row["a"]) == len(row["b"]) == 301
    assert row["c"] == 1
