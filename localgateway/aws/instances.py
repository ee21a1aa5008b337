"""Keeps moto's memory flat.

moto appends each object that it makes to a list of its class, for its own reset, which is not
served here: each row that a Scan reads would stay in memory.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core.common_models import BaseModel


@functools.cache
def track_no_instances() -> None:
    """Make moto forget the objects that it does not use."""
    BaseModel.__new__ = _new  # type: ignore[method-assign] # moto has no setting


def _new(cls: type[BaseModel], *_: Any, **__: Any) -> Any:
    return super(BaseModel, cls).__new__(cls)
