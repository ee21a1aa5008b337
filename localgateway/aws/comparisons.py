"""Comparisons in conditions and filters: values of different types do not match.

moto raises instead, so that one row of another type fails everybody's Scan, or compares values as
Python does, where 1 equals True and a missing attribute equals NULL.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from moto.dynamodb import comparisons
from moto.dynamodb.comparisons import Operand

if TYPE_CHECKING:
    from collections.abc import Callable

_ORDERED = (
    comparisons.OpLessThan,
    comparisons.OpLessThanOrEqual,
    comparisons.OpGreaterThan,
    comparisons.OpGreaterThanOrEqual,
    comparisons.FuncBetween,
)
_SEARCHING = (comparisons.FuncBeginsWith, comparisons.FuncContains)


@functools.cache
def match_types() -> None:
    """Make moto's comparisons false for values of different types."""
    for kind in (*_ORDERED, *_SEARCHING):
        guarded = _guarded(kind.expr, ordered=kind in _ORDERED)
        kind.expr = guarded  # type: ignore[method-assign] # moto has no setting
    comparisons.OpEqual.expr = _equal  # type: ignore[method-assign]
    comparisons.OpNotEqual.expr = _not_equal  # type: ignore[method-assign]
    comparisons.FuncIn.expr = _in  # type: ignore[method-assign]


def _guarded(compare: Callable[..., bool], *, ordered: bool) -> Callable[..., bool]:
    @functools.wraps(compare)
    def compare_same_types(self: Any, item: Any) -> bool:
        operands = self.arguments if hasattr(self, "arguments") else (self.lhs, self.rhs)
        types = {each.get_type(item) for each in operands if isinstance(each, Operand)}
        if ordered and len(types) > 1:
            return False
        try:
            return compare(self, item)
        except (TypeError, AttributeError, ValueError):  # such as size() of a missing attribute
            return False

    return compare_same_types


def _equal(self: Any, item: Any) -> bool:
    return _same(self.lhs, self.rhs, item)


def _not_equal(self: Any, item: Any) -> bool:
    return not _same(self.lhs, self.rhs, item)


def _in(self: Any, item: Any) -> bool:
    return any(_same(self.attr, value, item) for value in self.possible_values)


def _same(left: Any, right: Any, item: Any) -> bool:
    try:
        kinds = [
            each.get_type(item) if isinstance(each, Operand) else "N" for each in (left, right)
        ]
        if kinds[0] != kinds[1] or kinds[0] is None:
            return False
        return bool(left.expr(item) == right.expr(item))
    except (TypeError, AttributeError, ValueError):
        return False
