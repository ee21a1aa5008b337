"""A clock that skips the time in which nothing happens, so that a hang costs no seconds.

A pause, a read of a socket whose peer hangs, and the dispatcher's wait for replies that never come
end at once, and the clock moves on by as much as they would have taken. All other waits are real,
but the clock shows only a tenth of the real time, so that a busy machine breaks no time-out.
"""

import asyncio
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

# s: how often the dispatcher's wait looks whether anything can still come.
_LOOK_EVERY = 0.002
# The share of the real time that the clock shows, and what it adds for each read of a socket in s.
_REAL_SHARE = 0.1
_TICK = 0.001
# s: how long a peer that does not hang on purpose may take in real time.
_REAL_PATIENCE = 60.0

_monotonic, _time = time.monotonic, time.time


@dataclass
class Clock:
    """The time of one case: how much was skipped, and who waits for a peer that hangs.

    `began` is when the clock showed the real time, and `offset` is from it to the epoch, both in s.

    `hung` and `dripping` are local ports of sockets whose peer never answers, or answers after
    that many seconds with that many bytes, again and again. `in_flight` are the requests of the C
    runtime without a reply, `silent` counts those of them that never get one. `on_skip` runs
    after each skip.
    """

    began: float = field(default_factory=_monotonic)
    offset: float = field(default_factory=lambda: _time() - _monotonic())
    skipped: float = 0.0
    hung: set[int] = field(default_factory=set)
    dripping: dict[int, tuple[float, int]] = field(default_factory=dict)
    in_flight: set[int] = field(default_factory=set)
    silent: int = 0
    on_skip: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Return the monotonic time in s."""
        return self.began + (_monotonic() - self.began) * _REAL_SHARE + self.skipped

    def epoch(self) -> float:
        """Return the epoch time in s."""
        return self.offset + self.now()

    def epoch_ns(self) -> int:
        """Return the epoch time in ns."""
        return round(self.epoch() * 1e9)

    def advance(self, seconds: float) -> None:
        """Skip some seconds."""
        self.advance_to(self.now() + seconds)

    def advance_to(self, moment: float) -> None:
        """Skip the time until `moment`, unless it has passed: waits at the same time overlap."""
        with self._lock:
            self.skipped += max(0.0, moment - self.now())
        self.on_skip()

    def rewind(self) -> None:
        """Show the real time again."""
        self.began, self.skipped = _monotonic(), 0.0

    def tick(self) -> None:
        """Let a moment pass."""
        with self._lock:
            self.skipped += _TICK

    def fall_silent(self) -> None:
        """Note that a request of the C runtime gets no answer."""
        with self._lock:
            self.silent += 1

    def nothing_comes(self) -> bool:
        """Return whether no request of the C runtime will be answered any more."""
        return len(self.in_flight) <= self.silent

    def forget(self) -> None:
        """Forget all requests, between two invocations."""
        self.in_flight.clear()
        self.silent = 0


@contextmanager
def skipping(clock: Clock) -> Iterator[None]:
    """Have this process live by `clock` within the block."""
    from chalicelib.adapters.connections_api.dispatcher import Dispatcher
    from chalicelib.adapters.connections_api.pooled_connection import PooledConnection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", clock.now)
        patch.setattr(time, "time", clock.epoch)
        patch.setattr(time, "time_ns", clock.epoch_ns)
        patch.setattr(time, "sleep", clock.advance)
        # The timers of event loops in other threads stay real, or they would be late afterwards.
        patch.setattr(asyncio.BaseEventLoop, "time", lambda _loop: _monotonic())
        for name in ("recv", "recv_into"):
            patch.setattr(socket.socket, name, _reading(clock, getattr(socket.socket, name)))
        patch.setattr(Dispatcher, "__init__", _dispatching(clock, Dispatcher.__init__))
        patch.setattr(PooledConnection, "send", _sending(clock, PooledConnection.send))
        patch.setattr(PooledConnection, "close", _closing(clock, PooledConnection.close))
        yield


def _reading(clock: Clock, read: Callable[..., Any]) -> Callable[..., Any]:
    def is_hung(connection: socket.socket) -> bool:
        return bool(clock.hung) and _port(connection) in clock.hung

    def reading(self: socket.socket, target: Any, *arguments: int) -> Any:
        if clock.dripping and (drip := clock.dripping.get(_port(self))):
            seconds, size = drip
            clock.advance(seconds)
            if isinstance(target, int):
                return read(self, min(target, size))
            return read(self, target, min(len(target), size))
        # Reads of other threads hang at the same time, not one after another.
        began = clock.now()
        try:
            got = _patiently(read, self, target, *arguments)
        except ConnectionError:
            if not is_hung(self):
                raise
        else:
            if got or not is_hung(self):
                clock.tick()
                return got
        patience = self.gettimeout()
        assert patience is not None, "a read without a time-out waits for ever"
        clock.advance_to(began + patience)
        raise TimeoutError("timed out")

    return reading


def _patiently(read: Callable[..., Any], *arguments: Any) -> Any:
    """Read, however long a busy machine takes for it."""
    began = _monotonic()
    while True:
        try:
            return read(*arguments)
        except TimeoutError:
            if _monotonic() - began > _REAL_PATIENCE:
                raise


def _port(connection: socket.socket) -> int:
    name = connection.getsockname()
    return name[1] if isinstance(name, tuple) else 0


def _dispatching(clock: Clock, init: Callable[..., None]) -> Callable[..., None]:
    def initialized(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        for name, value in vars(self).items():
            if isinstance(value, queue.SimpleQueue):
                setattr(self, name, Replies(clock))

    return initialized


def _sending(clock: Clock, send: Callable[..., None]) -> Callable[..., None]:
    def sending(self: Any, request: Any, done: Callable[[Any], None]) -> None:
        clock.in_flight.add(id(self))

        def finished(reply: Any) -> None:
            done(reply)
            clock.in_flight.discard(id(self))

        send(self, request, finished)

    return sending


def _closing(clock: Clock, close: Callable[..., None]) -> Callable[..., None]:
    def closing(self: Any) -> None:
        if id(self) in clock.in_flight:  # it was given up because its peer is silent
            clock.in_flight.discard(id(self))
            clock.silent = max(0, clock.silent - 1)
        close(self)

    return closing


class Replies:
    """The dispatcher's queue of replies, whose wait ends as soon as none can come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.put = self._queue.put
        self.get_nowait = self._queue.get_nowait

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next reply, or raise `queue.Empty` after `timeout` seconds by the clock."""
        assert timeout is not None, "a wait without a time-out may last for ever"
        if not block:
            return self._queue.get_nowait()
        end = self._clock.now() + timeout
        while True:
            nothing_comes = self._clock.nothing_comes()
            try:
                return self._queue.get(timeout=0 if nothing_comes else _LOOK_EVERY)
            except queue.Empty:
                if nothing_comes:
                    self._clock.advance_to(end)
                if self._clock.now() >= end:
                    raise
