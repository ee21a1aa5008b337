"""The versions of the project: the one that serves, and those that still finish their events."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from localgateway.api_gateway.settings import ApiSettings
from localgateway.api_gateway.template import read_template
from localgateway.lambda_runtime import schedules
from localgateway.lambda_runtime.functions import Function

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localgateway.lambda_runtime.function_log import LogSink
    from localgateway.lambda_runtime.project import FunctionDefinition, Project
    from localgateway.observer.observer import Observer
    from localgateway.options import Options


class Versions:
    """Serves one version at a time; `functions` are by name, `routes` by route key.

    These mappings and the settings change when another version takes over, all at once. The
    processes of functions get `variables`.
    """

    def __init__(
        self,
        options: Options,
        variables: Mapping[str, str],
        log: LogSink,
        observer: Observer,
    ) -> None:
        self.functions: dict[str, Function] = {}
        self.routes: dict[str, Function] = {}
        self._by_logical_id: dict[str, Function] = {}
        self.settings = ApiSettings(
            options.region, self._by_logical_id, options.route_responses, options.connect_rate
        )
        self._options = options
        self._variables = variables
        self._log = log
        self._observer = observer
        self._schedules = contextlib.AsyncExitStack()
        self._last_due: dict[tuple[str, float], float] = {}
        self._all: set[Function] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._project: Project | None = None
        self._prepared: Function | None = None

    def serving(self) -> tuple[Project, Mapping[str, Function]]:
        """Return the project that serves, and its functions by name; `serve` has to come first."""
        if self._project is None:
            raise LookupError("no version serves yet")
        return self._project, self.functions

    def prepare(self, folder: Path) -> None:
        """Start the function that ran last from the sources of a version that may take over.

        Its next event is the likeliest, and need not wait for both inspection and cold start.
        """
        used = [function for function in self.functions.values() if function.used_at]
        if used:
            last = max(used, key=lambda function: function.used_at)
            self._prepared = self._function(last.definition, folder)
            self._prepared.warm_up()

    async def discard(self) -> None:
        """Kill what `prepare` started, if it did not take over."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            await prepared.stop()

    def _function(self, definition: FunctionDefinition, folder: Path) -> Function:
        size = self._options.environments
        return Function(definition, folder, self._variables, size, self._observer, self._log)

    async def serve(self, project: Project) -> None:
        """Let a version take over; the previous one serves the events that it has."""
        functions = {
            name: self._function(definition, project.folder)
            for name, definition in project.functions.items()
        }
        prepared = self._prepared
        if prepared is not None and prepared.definition in project.functions.values():
            functions[prepared.definition.name] = prepared
            self._prepared = None
        template = read_template(project.folder / ".chalice" / "resources.json")
        await self._schedules.aclose()
        previous, previous_functions = self._project, set(self.functions.values())
        self._project = project
        self._all |= set(functions.values())
        self.functions.clear()
        self.functions.update(functions)
        self.routes.clear()
        self.routes.update({key: functions[name] for key, name in project.routes.items()})
        self._by_logical_id.clear()
        self._by_logical_id.update(
            {each.definition.logical_id: each for each in functions.values()}
        )
        self.settings.template = template
        await self._schedules.enter_async_context(
            schedules.running(
                project.schedules,
                functions,
                self._options.schedule_every,
                self._options.region,
                self._last_due,
            )
        )
        if previous is not None:
            task = asyncio.create_task(self._end(previous, previous_functions))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """Kill the processes of all versions."""
        await self.discard()
        await self._schedules.aclose()
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await asyncio.gather(*(function.stop() for function in self._all))

    async def _end(self, project: Project, functions: set[Function]) -> None:
        await asyncio.gather(*(function.retire() for function in functions))
        self._all -= functions
        if project.folder != self._options.project:  # it is a snapshot
            await asyncio.to_thread(shutil.rmtree, project.folder, ignore_errors=True)
