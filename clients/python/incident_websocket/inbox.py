"""What waits for the consumer, and the position of what the consumer has finished."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from .merge import Step
from .position import Position
from .protocol import Gap, Notification

ROOM = 1000  # steps; further ones stay in the history until the consumer has caught up


class Inbox:
    """A queue of steps. A step is finished when the consumer asks for the next one.

    `finished` is then called with it.
    """

    def __init__(self, position: Position, finished: Callable[[Step], object]) -> None:
        self.position = position
        self._finished = finished
        self._steps: deque[Step] = deque()
        self._current: Step | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether the consumer is far behind."""
        return not self._room.is_set()

    def put(self, steps: Iterable[Step]) -> None:
        """Append steps."""
        self._steps.extend(steps)
        if len(self._steps) >= ROOM:
            self._room.clear()
        self._changed.set()

    async def room(self) -> None:
        """Wait until the consumer has caught up."""
        await self._room.wait()

    def end(self, *, discard: bool) -> None:
        """Let the consumer's loop end: at once, or after the steps that are waiting."""
        if discard:
            self._steps.clear()
        self._ended = True
        self._changed.set()

    async def next(self) -> Notification | Gap:
        """Return the next item. Raise `StopAsyncIteration` at the end."""
        if self._current is not None:
            self._finish(self._current)
        while True:
            while self._steps:
                step = self._steps.popleft()
                if step.item is not None:
                    self._current = step
                    return step.item
                self._finish(step)
            self._room.set()
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()

    def _finish(self, step: Step) -> None:
        self._current = None
        if step.seq is not None:
            if step.stream == "all":
                self.position["all"] = step.seq
            elif step.of is not None:
                self.position["own"] = {"seq": step.seq, "of": step.of}
        self._finished(step)
