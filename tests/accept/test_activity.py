"""The check of `LastActiveAt`, against an API Gateway that counts in another way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from accept.checks import activity
from accept.errors import FailedError

if TYPE_CHECKING:
    from accept.run import Run

AT = datetime(2024, 11, 11, tzinfo=UTC)


class Stage:
    """A stage that moves `LastActiveAt` with the messages of these directions."""

    def __init__(self, *counted: str) -> None:
        self.aws = self
        self.token = None
        self.counted = counted
        self.at = AT

    async def call(self, *_: str, **__: str) -> dict[str, datetime]:
        return {"LastActiveAt": self.at}

    async def open(self, _: str) -> object:
        return SimpleNamespace()

    def left(self, wanted: float) -> float:
        return min(wanted, 0.01)

    def passed(self, direction: str) -> None:
        self.at += timedelta(seconds=direction in self.counted)


@pytest.mark.parametrize(
    ("counted", "seen"),
    [
        (("ping",), None),
        ((), "leave SILENT_AFTER_SECONDS empty"),
        (("notification",), "leave SILENT_AFTER_SECONDS empty"),
        (("ping", "notification"), "noticed only after its last notification"),
    ],
)
def test_only_a_client_that_is_heard_may_be_active(
    monkeypatch: pytest.MonkeyPatch, counted: tuple[str, ...], seen: str | None
) -> None:
    stage = Stage(*counted)

    async def row_of(*_: object) -> dict[str, str]:
        return {"connectionId": "one="}

    async def pong(*_: object) -> None:
        stage.passed("ping")

    async def publish(*_: object) -> str:
        stage.passed("notification")
        return "id"

    async def received(*_: object) -> None:
        """Find that it has arrived."""

    for each in (row_of, pong, publish, received):
        monkeypatch.setattr(activity, each.__name__, each)
    check = activity.last_active(cast("Run", stage))

    if seen is None:
        assert asyncio.run(cast("Any", check)) == "moved by a ping, not by a notification"
    else:
        with pytest.raises(FailedError, match=seen):
            asyncio.run(cast("Any", check))
