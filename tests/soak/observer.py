"""Looks at the table, sweeps it, and checks all along what can be checked while it runs."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.soak.invariants import CLOSING_S, LIMIT_S, Breach, Look, of_limit, of_rows, of_sweep
from tests.soak.plan import SWEEP_EVERY_S
from tests.soak.processes import Sampler
from tests.soak.served import Served

LOOK_EVERY_S = 2.0
SAMPLE_EVERY_S = 1.0
SLOW_S = 0.7  # the functions wait for an answer of DynamoDB for 1 s


@dataclass
class Observer:
    """What was seen. `timeline` has the time (epoch s) and the numbers of rows and sockets.

    `passes` are the starts of complete passes of the sweep, `gone` the times between which a row
    disappeared, by connection id. In `slow` spans, DynamoDB may have answered too late.
    """

    served: Served
    others: Mapping[str, int]
    sampler: Sampler = field(default_factory=Sampler)
    timeline: list[tuple[float, int, int]] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    gone: dict[str, tuple[float, float]] = field(default_factory=dict)
    breaches: list[Breach] = field(default_factory=list)
    slow: list[tuple[float, float]] = field(default_factory=list)
    sweeps: int = 0
    is_sampling: bool = True
    _looks: deque[Look] = field(default_factory=deque)
    _pass_began: float | None = None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch and sweep within the block."""
        tasks = [
            asyncio.create_task(self._often(LOOK_EVERY_S, self._look)),
            asyncio.create_task(self._often(SWEEP_EVERY_S, self._sweep)),
            asyncio.create_task(self._often(SAMPLE_EVERY_S, self._sample)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            failures = [each for each in results if isinstance(each, Exception)]
            if failures:
                raise failures[0]

    @property
    def rows(self) -> set[str]:
        """The rows that were seen last."""
        return set(self._looks[-1].rows) if self._looks else set()

    async def _often(self, seconds: float, act: Callable[[], object]) -> None:
        while True:
            await act()  # type: ignore[misc] # each is a coroutine function
            await asyncio.sleep(seconds)

    async def _look(self) -> None:
        passes = list(self.passes)
        self.served.look_after()
        start = time.time()
        rows = await asyncio.to_thread(self.served.rows)
        look = Look(start, time.time(), rows)
        if look.end - look.start > SLOW_S:
            self.slow.append((start - SLOW_S, look.end + SLOW_S))
        await self.served.caught_up()
        journal = self.served.journal
        self.timeline.append((start, len(rows), len(journal.open_at(start, start))))
        if self._looks:
            last = self._looks[-1]
            for name in last.rows.keys() - rows.keys():
                self.gone[name] = (last.start, look.end)
        self._looks.append(look)
        while len(self._looks) > 1 and self._looks[1].start < start - CLOSING_S:
            self._looks.popleft()
        if self._looks[0].start < start - CLOSING_S:
            self._note(of_rows(journal, self._looks[0], look))
        if passes:
            self._note(of_sweep(journal, passes[-1], look))
        if old := [each for each in passes if each < start - LIMIT_S]:
            self._note(of_limit(journal, old[-1], look))

    async def _sweep(self) -> None:
        start = time.time()
        self._pass_began = self._pass_began or start
        report = None
        with contextlib.suppress(Exception):  # the gateway is away, or the sweep was killed
            report = await asyncio.to_thread(self.served.invoke, "sweep", {})
        self.sweeps += 1
        if report and report.get("finished"):
            if not report["skipped"]:
                self.passes.append(self._pass_began)
            self._pass_began = None

    async def _sample(self) -> None:
        if self.is_sampling:
            await asyncio.to_thread(self.sampler.sample, self.served.gateway.pid, self.others)

    def _note(self, breaches: Iterable[Breach]) -> None:
        known = {(each.kind, each.found.partition(",")[0]) for each in self.breaches}
        for breach in breaches:
            if (breach.kind, breach.found.partition(",")[0]) not in known:
                self.breaches.append(breach)
