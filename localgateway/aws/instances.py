"""Keeps moto's memory flat.

moto keeps for its reset, or for tests, what nothing here serves: each object that it makes, so also
each row that a Scan reads, each message that a topic has sent, and the receipt handles of each
message that was deleted from a queue.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from moto.core.common_models import BaseModel
from moto.sns.models import Topic
from moto.sqs.models import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable

# Receipt handles that a queue knows of deleted messages: to delete a message again is no error.
DELETED = 1000


@functools.cache
def hoard_nothing() -> None:
    """Make moto forget what it does not use."""
    # moto has no setting for any of it.
    BaseModel.__new__ = _new  # type: ignore[method-assign]
    Topic.sent_notifications = property(lambda _: [], _ignore)  # type: ignore[assignment]
    Queue.deleted_messages = property(_deleted_from, _ignore)  # type: ignore[assignment]


def _new(cls: type[BaseModel], *_: Any, **__: Any) -> Any:
    return super(BaseModel, cls).__new__(cls)


class _Recent(dict[str, None]):
    """The texts that were added last."""

    def update(self, texts: Iterable[str]) -> None:  # type: ignore[override] # a set's
        """Add texts, and forget those that were added first."""
        super().update(dict.fromkeys(texts))
        while len(self) > DELETED:
            del self[next(iter(self))]


def _deleted_from(queue: Queue) -> _Recent:
    handles: _Recent = vars(queue).setdefault("deleted_messages", _Recent())
    return handles


def _ignore(*_: object) -> None:
    """Take the first value that moto gives an attribute."""
