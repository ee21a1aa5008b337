"""HTTP on the gateway's port: `@connections`, Invoke and the embedded AWS under one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from localgateway.access import Access, Refusal, refuse, signature
from localgateway.faults_api import PATH, SERVICE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from localgateway.access import Signature
    from localgateway.forwarding import Forwarder

CONSOLE = "/@console"


class OneAddress:
    """Passes each signed request to the service that its signature names.

    `stage` is the path that clients connect to; without an upgrade it needs no signature. Faults
    are changed with the run's own `access_key` only. The `console` has a path and a token of its
    own.
    """

    def __init__(
        self,
        access: Access,
        stage: str,
        connections: ASGIApp,
        functions: ASGIApp,
        others: Forwarder,
        faults: ASGIApp,
        access_key: str,
        console: ASGIApp,
    ) -> None:
        self._access = access
        self._open_path = f"/{stage}"
        self._services = {"execute-api": connections, "lambda": functions}
        self._connections = connections
        self._others = others
        self._faults = faults
        self._access_key = access_key
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request, unless it is refused."""
        if refusal := self._access.refusal(scope["headers"]):
            await refuse(scope, send, refusal)
            return
        if scope["path"] == self._open_path:
            await self._connections(scope, receive, send)
            return
        if scope["path"].startswith(CONSOLE):
            await self._console(scope, receive, send)
            return
        signed = signature(scope["headers"])
        if isinstance(signed, Refusal):
            await refuse(scope, send, signed)
        elif signed.service == SERVICE:
            await self._change_faults(signed, scope, receive, send)
        elif service := self._services.get(signed.service):
            await service(scope, receive, send)
        else:
            await self._others.forward(Request(scope, receive), send)

    async def _change_faults(
        self, signed: Signature, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["path"] != PATH or signed.access_key != self._access_key:
            await refuse(scope, send, Refusal("ForbiddenException", "Forbidden"))
        else:
            await self._faults(scope, receive, send)
