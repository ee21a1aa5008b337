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

    from localgateway.lambda_runtime.function_log import LogSink
    from localgateway.lambda_runtime.project import Project
    from localgateway.options import Options


class Versions:
    """Serves one version at a time; `functions` are by name, `routes` by route key.

    These mappings and the settings change when another version takes over, all at once. The
    processes of functions get `variables`.
    """

    def __init__(self, options: Options, variables: Mapping[str, str], log: LogSink | None) -> None:
        self.functions: dict[str, Function] = {}
        self.routes: dict[str, Function] = {}
        self._by_logical_id: dict[str, Function] = {}
        self.settings = ApiSettings(
            options.region, self._by_logical_id, options.route_responses, options.connect_rate
        )
        self._options = options
        self._variables = variables
        self._log = log
        self._schedules = contextlib.AsyncExitStack()
        self._all: set[Function] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._project: Project | None = None

    async def serve(self, project: Project) -> None:
        """Let a version take over; the previous one serves the events that it has."""
        functions = {
            name: Function(
                definition, project.folder, self._variables, self._options.environments, self._log
            )
            for name, definition in project.functions.items()
        }
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
                project.schedules, functions, self._options.schedule_every, self._options.region
            )
        )
        if previous is not None:
            task = asyncio.create_task(self._end(previous, previous_functions))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """Kill the processes of all versions."""
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
