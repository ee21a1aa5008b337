"""Rows as text."""

from decimal import Decimal

import pytest

from localgateway.text_table import text_table


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([{"id": "a", "n": 1}], ["id  n", "a   1"]),
        ([{"n": Decimal("7.5")}], ["n", "7.5"]),
        ([{"id": "long"}, {"n": [1]}], ["id    n", "long", "      [1]"]),
        ([{"id": "x" * 49}], ["id", "x" * 47 + "…"]),
        ([{"id": "a\x1b[31m\n"}], ["id", "a\\x1b[31m\\n"]),
    ],
)
def test_columns_are_aligned(rows: list[dict[str, object]], lines: list[str]) -> None:
    """Long cells are cut and control characters are escaped."""
    assert text_table(rows).splitlines() == lines
