"""The faults, each a task of its own with a chance of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil

from tests.soak.journal import Interruption
from tests.soak.plan import Plan
from tests.soak.served import Served
from tests.storm.storm import environments
from tests.support.readers import Readers

CUT_EVERY_S = 30.0  # of one client
KICK_EVERY_S = 4.0
KILL_EVERY_S = 6.0
RELOAD_EVERY_S = 40.0
RESTART_EVERY_S = 400.0
CALM_S, SPOILED_S = (8.0, 20.0), (4.0, 8.0)
FAIL, LAG_MS = 0.1, 200.0
DROP_DISCONNECTS, DROP_POSTS = 0.3, 0.02


@dataclass
class Troubles:
    """What was done. Spans are epoch s; `lossy` are the times in which posts got lost."""

    plan: Plan
    served: Served
    readers: Sequence[Readers]
    counts: dict[str, int] = field(default_factory=dict)
    marks: list[tuple[float, str]] = field(default_factory=list)
    faulty: list[tuple[float, float]] = field(default_factory=list)
    lossy: list[tuple[float, float]] = field(default_factory=list)
    _restarting: asyncio.Task[None] | None = None

    def options(self) -> tuple[str, ...]:
        """Return the gateway's options for its next generation."""
        options = []
        if "disconnects" in self.plan.faults:
            options.append(f"--drop-disconnects={DROP_DISCONNECTS}")
        if self._is_lossy():
            options.append(f"--drop-posts={DROP_POSTS}")
        return tuple(options)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the faults of the plan happen within the block."""
        tasks = [
            asyncio.create_task(fault(self.plan.random(name)))
            for name, fault in self._all().items()
            if name in self.plan.faults
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if self._restarting:
                tasks.append(self._restarting)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.served.spoil_dynamodb, 0.0, 0.0)
            failures = [each for each in results if isinstance(each, Exception)]
            if failures:
                raise failures[0]

    async def cut(self, random: Random) -> None:
        """Cut clients of the libraries."""
        clients = [(group, client_id) for group in self.readers for client_id in group.told]
        while True:
            await asyncio.sleep(random.uniform(0, 2 * CUT_EVERY_S / len(clients)))
            group, client_id = random.choice(clients)
            group.cut(client_id)
            self._count("cuts")

    async def kick(self, random: Random) -> None:
        """Close all connections of a client, which may come back."""
        names = sorted({name for names in self.plan.names.values() for name in names})
        while True:
            await asyncio.sleep(random.uniform(0, 2 * KICK_EVERY_S))
            event = {"clientId": random.choice(names), "reconnect": True}
            with contextlib.suppress(Exception):  # the gateway is away, or the function was killed
                await asyncio.to_thread(self.served.invoke, "close", event)
            self._count("kicks")

    async def kill(self, random: Random) -> None:
        """Kill execution environments."""
        while True:
            await asyncio.sleep(random.uniform(0, 2 * KILL_EVERY_S))
            found = await asyncio.to_thread(environments, self.served.gateway.pid)
            chosen = sorted(found, key=lambda each: (found[each], each.pid))
            if not chosen:
                continue
            process = random.choice(chosen)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                at = time.time()
                self.served.journal.interruptions.append(Interruption(at, found[process]))
                self._count("kills")

    async def spoil(self, random: Random) -> None:
        """Let DynamoDB fail, lag, or both, for some seconds."""
        while True:
            await asyncio.sleep(random.uniform(*CALM_S))
            fail, lag = random.choice([(FAIL, 0.0), (0.0, LAG_MS), (FAIL, LAG_MS)])
            start = time.time()
            await asyncio.to_thread(self.served.spoil_dynamodb, fail, lag)
            self._count("database", mark=True)
            try:
                await asyncio.sleep(random.uniform(*SPOILED_S))
            finally:
                await asyncio.to_thread(self.served.spoil_dynamodb, 0.0, 0.0)
                self.faulty.append((start, time.time()))

    async def reload(self, random: Random) -> None:
        """Change a source file, as a deployment does."""
        path = self.served.project / "chalicelib" / "store.py"
        source = path.read_text()
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * RELOAD_EVERY_S)
            self._count("reloads", mark=True)
            path.write_text(f"{source}\n# version {self.counts['reloads']}\n")

    async def restart(self, random: Random) -> None:
        """Kill the gateway, or stop it, and start it again; at least twice."""
        every = min(RESTART_EVERY_S, self.plan.seconds / 3)
        while True:
            await asyncio.sleep(random.uniform(0.7, 1.1) * every)
            kill = self.counts.get("restarts", 0) % 2 == 0
            self._restarting = asyncio.create_task(self._restart(kill=kill))
            await asyncio.shield(self._restarting)

    async def _restart(self, *, kill: bool) -> None:
        start, was_lossy = self.served.generations[-1], self._is_lossy()
        self._count("restarts", mark=True)
        await self.served.stop_gateway(kill=kill)
        if was_lossy:
            self.lossy.append((start, time.time()))
        await self.served.start_gateway(*self.options())

    def finish(self) -> None:
        """Close the spans that are still open."""
        if self._is_lossy():
            self.lossy.append((self.served.generations[-1], time.time()))

    def _is_lossy(self) -> bool:
        return "posts" in self.plan.faults and self.counts.get("restarts", 0) % 2 == 1

    def _count(self, name: str, *, mark: bool = False) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        if mark:
            self.marks.append((time.time(), name))

    def _all(self) -> dict[str, Callable[[Random], Coroutine[Any, Any, None]]]:
        return {
            "cuts": self.cut,
            "kicks": self.kick,
            "kills": self.kill,
            "database": self.spoil,
            "reloads": self.reload,
            "restarts": self.restart,
        }
