"""Takes changes of the sources over while the gateway serves."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import Change, DefaultFilter, awatch

from localgateway import embedded_aws
from localgateway.errors import GatewayError, ProjectError
from localgateway.lambda_runtime import snapshots
from localgateway.lambda_runtime.project import inspect, inspect_with, inspector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from localgateway.child_processes import Child
    from localgateway.lambda_runtime.project import Project
    from localgateway.options import Options
    from localgateway.versions import Versions

# In ms: changes that follow each other faster belong to one save; how often to look.
_QUIET = 100
_STEP = 50
# In seconds, in which the first events of a new version have the processors to themselves.
_PAUSE = 2.0

_log = logging.getLogger(__name__)


class Reloader:
    """Lets each new version of a project's sources take over, if it can be imported.

    `folder` is for snapshots; the process that imports the app gets the variables `environ`.
    """

    def __init__(self, options: Options, folder: Path, environ: Mapping[str, str]) -> None:
        self._options = options
        self._folder = folder
        self._environ = environ
        self._seen = ""
        self._standby: Child | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._current: Project

    async def first(self) -> Project:
        """Return the project as it is now; raise `ProjectError` if it cannot be served."""
        try:
            folder = await asyncio.to_thread(snapshots.take, self._options.project, self._folder)
            self._seen = await asyncio.to_thread(snapshots.fingerprint, folder)
            self._current = await inspect(folder, self._options.stage, self._environ)
        except OSError as error:
            raise ProjectError(self._options.project, self._text(str(error))) from error
        except ProjectError as error:
            raise ProjectError(self._options.project, self._text(error.cause)) from error
        return self._current

    @contextlib.asynccontextmanager
    async def running(
        self, versions: Versions, engine: Child, variables: Mapping[str, str]
    ) -> AsyncIterator[None]:
        """Take changes over within the block; `variables` are for a process that uses tables."""
        self._versions, self._engine, self._variables = versions, engine, variables
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            tasks = [each for each in (task, self._preparing) if each is not None]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._standby is not None:
                await self._standby.stop()

    async def _run(self) -> None:
        is_saved = False  # the first look is for what was saved during the start
        async for _ in _looks(self._options.project):
            try:
                await self._reload(is_saved=is_saved)
            except (GatewayError, OSError, ValueError) as error:
                text = self._text(str(error))
                _log.error("not reloaded, the previous version goes on serving: %s", text)
            is_saved = True

    async def _reload(self, *, is_saved: bool) -> None:
        started = time.monotonic()
        if is_saved and self._standby is None:  # it starts while the sources are copied
            self._standby = await inspector(self._options.stage, self._environ)
        folder = await asyncio.to_thread(snapshots.take, self._options.project, self._folder)
        mark = await asyncio.to_thread(snapshots.fingerprint, folder)
        if mark == self._seen:
            shutil.rmtree(folder, ignore_errors=True)
            return
        self._seen = mark
        self._versions.prepare(folder)
        try:
            new = await self._inspect(folder)
            await self._take_over(new)
        except BaseException:
            await self._versions.discard()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        await self._versions.discard()
        _log.warning("reloaded in %.2f s", time.monotonic() - started)

    async def _inspect(self, folder: Path) -> Project:
        # Who saves once will save again: the next inspection waits with Chalice imported.
        child = self._standby or await inspector(self._options.stage, self._environ)
        self._standby = None
        try:
            return await inspect_with(child, folder)
        finally:
            self._preparing = asyncio.create_task(self._prepare())

    async def _prepare(self) -> None:
        await asyncio.sleep(_PAUSE)
        if self._standby is None:
            self._standby = await inspector(self._options.stage, self._environ)

    async def _take_over(self, new: Project) -> None:
        old = self._current
        if new.api_stage != old.api_stage:
            _log.warning(
                "api_gateway_stage is now %r; restart the gateway to serve it", new.api_stage
            )
        resources = Path(".chalice", "resources.json")
        changed = _text_of(new.folder / resources) != _text_of(old.folder / resources)
        if changed:
            options = dataclasses.replace(self._options, project=new.folder)
            await embedded_aws.create_resources(options, self._variables)
            _log.warning(
                "%s has changed: missing tables and topics exist now; restart the gateway for "
                "changes of those that existed",
                resources,
            )
        if changed or _sources(new) != _sources(old):
            await embedded_aws.connect_functions(
                self._engine, new, self._options.stage, self._variables
            )
        if set(old.subscriptions) - set(new.subscriptions):
            _log.warning("subscriptions were removed; restart the gateway to end them")
        if set(old.rules) - set(new.rules):
            _log.warning("event rules were removed or changed; restart the gateway to end them")
        await self._versions.serve(new)
        self._current = new

    def _text(self, text: str) -> str:
        # Editors open the source, not its copy.
        copies = re.escape(f"{self._folder}/version-") + r"\w+"
        return re.sub(copies, lambda _: str(self._options.project), text)


def _sources(project: Project) -> tuple[object, ...]:
    return project.subscriptions, project.queues, project.rules


def _text_of(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


async def _looks(project: Path) -> AsyncIterator[None]:
    """Yield at once, and after each save, once no further file changes."""
    wanted = (*snapshots.DEPLOYED, snapshots.CONFIGURATION)
    ignored = DefaultFilter(ignore_dirs=(*DefaultFilter.ignore_dirs, "deployed", "deployments"))

    def relevant(change: object, path: str) -> bool:
        inside = Path(path).relative_to(project).parts
        return bool(inside) and inside[0] in wanted and ignored(change, path)  # type: ignore[arg-type]

    # The project may hold large folders, so only these are watched to their depths.
    changed = asyncio.Event()
    watched: dict[Path, asyncio.Task[None]] = {}

    async def watch(path: Path, *, recursive: bool) -> None:
        async for changes in awatch(
            path, watch_filter=relevant, debounce=_QUIET, step=_STEP, recursive=recursive
        ):
            if not recursive:
                _forget(watched, changes)
            changed.set()

    try:
        while True:
            folders = [project, *(project / name for name in wanted if (project / name).is_dir())]
            for path in folders:
                if path not in watched or watched[path].done():
                    watched[path] = asyncio.create_task(watch(path, recursive=path != project))
                    watched[path].add_done_callback(functools.partial(_report, path))
            await asyncio.sleep(0)  # all of them watch before the sources are read
            yield
            await changed.wait()
            changed.clear()
    finally:
        for task in watched.values():
            task.cancel()
        await asyncio.gather(*watched.values(), return_exceptions=True)


def _forget(watched: dict[Path, asyncio.Task[None]], changes: set[tuple[Change, str]]) -> None:
    """Take out the folders that were removed or made anew: their watches see nothing any more."""
    for path in {Path(name) for change, name in changes if change is not Change.modified}:
        if (task := watched.pop(path, None)) is not None:
            task.cancel()


def _report(path: Path, watch: asyncio.Task[None]) -> None:
    """Log why an existing folder is no longer watched."""
    if not watch.cancelled() and (error := watch.exception()) is not None and path.is_dir():
        _log.error("changes in %s are not noticed: %s", path, error)
