"""Puts the console together: the agent, the watch on the table, the actions and their HTTP."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localgateway.console.actions import Actions
from localgateway.console.agent_process import AgentProcess
from localgateway.console.http_api import PREFIX, ConsoleApi
from localgateway.console.watch import Watch
from localgateway.observer.events import Reported
from localgateway.observer.observer import content_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.types import ASGIApp

    from localgateway.lambda_runtime.functions import Function
    from localgateway.lambda_runtime.project import Project
    from localgateway.observer.observer import Observer

# Trial clients that the page shows, the last ones.
_CLIENTS = 50


@dataclass(frozen=True)
class Subject:
    """The run that the console shows. `serving` returns its present project and functions.

    `url` is the address for clients, `environ` the variables for a client of the run's AWS.
    """

    stage: str
    url: str
    tables: Sequence[str]
    topics: Sequence[str]
    environ: Mapping[str, str]
    serving: Callable[[], tuple[Project, Mapping[str, Function]]]


class Console:
    """The console of one run; its agent starts when somebody opens the page."""

    def __init__(self, subject: Subject, observer: Observer, faults: Any) -> None:
        self._token = secrets.token_urlsafe(24)
        self._subject = subject
        self._observer = observer
        self._clients: dict[int, dict[str, Any]] = {}
        self._agent = AgentProcess(subject.url, subject.environ, self._hear)
        self._watch = Watch(observer, self._agent, subject.tables)
        actions = Actions(self._agent, faults, lambda: subject.serving()[1])
        self._api = ConsoleApi(self._token, observer, self._watch, actions, self.state)

    def application(self) -> ASGIApp:
        """Return the ASGI application."""
        return self._api.application()

    def address(self, authority: str) -> str:
        """Return the page's address at host:port, with the token."""
        return f"http://{authority}{PREFIX}#{self._token}"

    def close(self) -> None:
        """End the streams, so that the server can stop."""
        self._api.close()

    async def stop(self) -> None:
        """Kill the agent."""
        await self._watch.stop()
        await self._agent.stop()

    def state(self) -> dict[str, Any]:
        """Return what the page shows of the run, besides events and connections."""
        project, functions = self._subject.serving()
        return {
            "app": project.app,
            "stage": self._subject.stage,
            "url": self._subject.url,
            "topics": list(self._subject.topics),
            "tables": list(self._subject.tables),
            "functions": [
                shown_function(project, self._subject.stage, each) for each in functions.values()
            ],
            "clients": list(self._clients.values())[-_CLIENTS:],
            "clientCount": len(self._clients),
        }

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "rows" in message:
            self._watch.hear(message["rows"])
            return
        if "ended" in message:
            self._clients.clear()
            self._watch.restart()
            return
        news = dict(message["news"])
        number = news["client"]
        if news["what"] == "opened":
            connection_id = self._connection_on(news.pop("port"))
            self._clients[number] = {**news, "connectionId": connection_id}
        known = self._clients.get(number, {})
        if news["what"] == "closed":
            self._clients.pop(number, None)
        shown = {
            name: content_text(value) if isinstance(value, str) else value
            for name, value in news.items()
        }
        fields = {**shown, "connectionId": known.get("connectionId")}
        self._observer.record(Reported("client", fields))

    def _connection_on(self, port: int) -> str | None:
        found = [
            connection_id
            for connection_id, socket in self._observer.sockets.current.items()
            if socket.handshake.source_port == port
        ]
        return found[-1] if found else None


def shown_function(project: Project, stage: str, function: Function) -> dict[str, Any]:
    """Return a function for the page; `testName` is its name for `chalice.test.Client`."""
    name = function.definition.name
    short = name.removeprefix(f"{project.app}-{stage}-")
    handler = function.definition.handler.rpartition(".")[2]
    return {
        "name": name,
        "short": short.removeprefix("websocket_"),
        "testName": handler if short.startswith("websocket_") else short,
        "timeout": function.definition.timeout,
        "routes": [key for key, each in project.routes.items() if each == name],
        "schedules": [each.expression for each in project.schedules if each.function == name],
        "topics": [each.topic for each in project.subscriptions if each.function == name],
        "environments": function.environments(),
    }
