"""The gateway's end of the console's agent: starts it when it is needed, and asks it."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

from localgateway.child_processes import Child
from localgateway.console.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In seconds; longer than any call of the agent.
_TIMEOUT = 90.0

_log = logging.getLogger(__name__)


class AgentProcess:
    """Starts the agent with the variables `environ` and passes its messages on.

    `hear` receives what the agent says without being asked, and `{"ended": True}` at its end.
    """

    def __init__(
        self, url: str, environ: Mapping[str, str], hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._url = url
        self._environ = environ
        self._hear = hear
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._child: Child | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def ask(self, action: str, **arguments: Any) -> Any:
        """Return the result of an action; raise `ActionError` if it fails or takes too long."""
        child = await self._started()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        child.write(json.dumps({"id": number, "action": action, "arguments": arguments}))
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await answer
        except TimeoutError:
            raise ActionError(f"{action} took over {_TIMEOUT:g} s; see the timeline") from None
        finally:
            del self._waiting[number]

    async def stop(self) -> None:
        """Kill the agent, which ends its clients."""
        if self._child is not None:
            await self._child.stop()
        if self._reading is not None:
            await self._reading

    async def _started(self) -> Child:
        async with self._starting:
            if self._child is None:
                self._child = await Child.start(
                    "console's agent",
                    "localgateway.console.agent",
                    json.dumps({"url": self._url}),
                    environ=self._environ,
                )
                self._reading = asyncio.create_task(self._read(self._child))
            return self._child

    async def _read(self, child: Child) -> None:
        async for line in child.lines():
            try:
                self._take(json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                reason = f"{type(error).__name__}: {error}"
                _log.warning("left out a line of the console's agent: %s", reason)
        self._child = None
        self._hear({"ended": True})
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ActionError("the console's agent has ended; try again"))

    def _take(self, message: Any) -> None:
        if "id" not in message:
            self._hear(message)
        elif (answer := self._waiting.get(message["id"])) and not answer.done():
            if "error" in message:
                answer.set_exception(ActionError(message["error"]))
            else:
                answer.set_result(message["result"])
