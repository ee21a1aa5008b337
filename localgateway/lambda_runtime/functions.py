"""Functions and their execution environments: cold starts, reuse, concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from localgateway.access_log import milliseconds, note
from localgateway.errors import ChildError
from localgateway.lambda_runtime.execution_environment import ExecutionEnvironment
from localgateway.lambda_runtime.function_log import InvocationLog
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut
from localgateway.observer.events import EnvironmentChanged, Finished
from localgateway.observer.observer import content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localgateway.lambda_runtime.function_log import LogSink
    from localgateway.lambda_runtime.project import FunctionDefinition
    from localgateway.observer.observer import Observer

_STATUS = {Returned: "ok", Failed: "error", TimedOut: "timeout"}


class Function:
    """A function with up to `size` execution environments, each with one event at a time.

    An environment starts when an event needs one, and then stays warm. Events wait for a free
    environment in the order of their arrival.
    """

    def __init__(
        self,
        definition: FunctionDefinition,
        project: Path,
        variables: Mapping[str, str],
        size: int,
        observer: Observer,
        log: LogSink,
    ) -> None:
        self.definition = definition
        self._project = project
        self._variables = variables
        self._observer = observer
        self._log = log
        self._free = asyncio.Semaphore(size)
        self._warm: list[ExecutionEnvironment] = []
        self._all: dict[ExecutionEnvironment, InvocationLog] = {}
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._retired = False
        self._warming: asyncio.Task[ExecutionEnvironment] | None = None
        self.used_at = 0.0  # monotonic, in seconds

    async def invoke(self, event: Any, patience: float | None = None) -> Outcome:
        """Run the function on an event and return the outcome.

        The caller waits for at most `patience` seconds, if given. As in AWS, a function that has
        started by then runs until its own timeout.
        """
        started = self.used_at = time.monotonic()
        encoded = json.dumps(event).encode()
        number = self._observer.started(self.definition.name, event, encoded)
        self._count(1)
        try:
            if self._free.locked():
                async with asyncio.timeout(patience):
                    await self._free.acquire()
            else:
                await self._free.acquire()  # without waiting
        except BaseException as error:
            self._count(-1)
            self._finished(number, "timeout", started)
            if isinstance(error, TimeoutError):
                return TimedOut(patience or 0.0)
            raise
        running = asyncio.create_task(self._noted(encoded, number, started))
        running.add_done_callback(self._ran)
        left = None if patience is None else patience - (time.monotonic() - started)
        done, _ = await asyncio.wait({running}, timeout=left)
        return running.result() if done else TimedOut(patience or 0.0)

    def warm_up(self) -> None:
        """Start an execution environment for the next event, which waits for it."""
        if self._warming is None:
            self._warming = asyncio.create_task(self._start())

    def environments(self) -> list[dict[str, Any]]:
        """Return the execution environments: their process ids, and whether each is busy."""
        warm = set(self._warm)
        return [{"id": each.pid, "busy": each not in warm} for each in self._all]

    async def kill(self, pid: int) -> bool:
        """Kill an execution environment, as a crash would; return False if it does not exist.

        An event that it serves fails.
        """
        for environment in list(self._all):
            if environment.pid == pid:
                if environment in self._warm:
                    self._warm.remove(environment)
                await self._discard(environment)
                return True
        return False

    async def retire(self) -> None:
        """Serve the events that have arrived, then kill the execution environments."""
        self._retired = True
        warm, self._warm = self._warm, []
        await asyncio.gather(*(self._discard(environment) for environment in warm))
        await self._idle.wait()
        await self.stop()

    async def stop(self) -> None:
        """Kill every execution environment."""
        if (warming := self._warming) is not None:
            self._warming = None
            with contextlib.suppress(ChildError, OSError):
                await warming
        await asyncio.gather(*(self._discard(environment) for environment in list(self._all)))

    async def _noted(self, event: bytes, number: int, started: float) -> Outcome:
        outcome = await self._run(event, number, started)
        note(
            "invoked",
            by=self.definition.name,
            status=_STATUS[type(outcome)],
            ms=milliseconds(time.monotonic() - started),
            function=self.definition.name,
        )
        return outcome

    def _finished(
        self,
        number: int,
        status: str,
        started: float,
        environment: ExecutionEnvironment | None = None,
        answer: bytes = b"",
        *,
        cold: bool = False,
    ) -> None:
        ms = milliseconds(time.monotonic() - started)
        pid = environment.pid if environment else None
        name = self.definition.name
        self._observer.record(Finished(number, name, status, ms, cold, pid, content(answer)))

    def _ran(self, _: object) -> None:
        self._free.release()
        self._count(-1)

    def _count(self, change: int) -> None:
        self._pending += change
        (self._idle.clear if self._pending else self._idle.set)()

    async def _run(self, event: bytes, number: int, started: float) -> Outcome:
        try:
            environment = await self._environment()
        except (ChildError, OSError) as error:
            answer = json.dumps({"error": str(error)}).encode()
            self._finished(number, "error", started, answer=answer, cold=True)
            return Failed(str(error))
        log = self._all[environment]
        cold = log.invocation == 0
        log.invocation = number
        outcome = await environment.invoke(event, self.definition.timeout)
        status = _STATUS[type(outcome)]
        self._finished(number, status, started, environment, environment.answer, cold=cold)
        if environment.usable:
            self._warm.append(environment)
        else:
            await self._discard(environment)
        return outcome

    async def _environment(self) -> ExecutionEnvironment:
        while self._warm:
            environment = self._warm.pop()
            if environment.usable:
                return environment
            await self._discard(environment)
        if (warming := self._warming) is not None:
            self._warming = None
            environment = await warming
            if environment.usable:
                return environment
            await self._discard(environment)
        return await self._start()

    async def _start(self) -> ExecutionEnvironment:
        log = InvocationLog(self._log, self._observer)
        environment = await ExecutionEnvironment.start(
            self.definition, self._project, self._variables, log
        )
        self._all[environment] = log
        self._changed(environment, "started")
        return environment

    async def _discard(self, environment: ExecutionEnvironment) -> None:
        if self._all.pop(environment, None) is not None:
            self._changed(environment, "ended")
        await environment.kill()

    def _changed(self, environment: ExecutionEnvironment, change: str) -> None:
        name = self.definition.name
        self._observer.record(EnvironmentChanged(name, environment.pid, change))
