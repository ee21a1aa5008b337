"""What people can do in the console: each action by its name, with arguments as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localgateway import faults_api
from localgateway.console.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localgateway.console.agent_process import AgentProcess
    from localgateway.lambda_runtime.functions import Function

# Actions of the agent that a page may ask for.
_OF_AGENT = frozenset({"open", "send", "close", "publish", "invoke", "disconnect"})


class Actions:
    """Carries out the page's actions; `faults` are the gateway's own, `functions` are by name."""

    def __init__(
        self, agent: AgentProcess, faults: Any, functions: Callable[[], Mapping[str, Function]]
    ) -> None:
        self._agent = agent
        self._faults = faults
        self._functions = functions

    async def run(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Return the result of an action; raise `ActionError` if it fails."""
        try:
            if name in _OF_AGENT:
                return await self._agent.ask(name, **arguments)
            if name == "faults":
                return await self._change_faults(**arguments)
            if name == "environment":
                return await self._environment(**arguments)
        except TypeError as error:
            raise ActionError(f"{name}: {error}") from error
        known = ", ".join(sorted(_OF_AGENT | {"faults", "environment"}))
        raise ActionError(f"there is no action {name!r}; expected one of {known}")

    async def _change_faults(self, changes: Mapping[str, Any]) -> dict[str, float]:
        """Change the gateway's faults and those of the embedded AWS; return all."""
        own = faults_api.change(self._faults, {})
        try:
            wanted = {name: value for name, value in changes.items() if name in own}
            own = faults_api.change(self._faults, wanted)
        except (ValueError, AttributeError) as error:
            raise ActionError(str(error)) from error
        others = {name: value for name, value in changes.items() if name not in own}
        of_aws: dict[str, float] = await self._agent.ask("faults", changes=others)
        return own | of_aws

    async def _environment(self, function: str, environment: int, restart: bool) -> None:
        """Kill an execution environment, and start another if wanted."""
        found = self._functions().get(function)
        if found is None:
            raise ActionError(f"there is no function {function!r}")
        if not await found.kill(environment):
            raise ActionError(f"{function} has no execution environment {environment}")
        if restart:
            found.warm_up()
