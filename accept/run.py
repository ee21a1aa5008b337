"""One run of the checks: its own clients, its own rows, its limits."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from accept.errors import FailedError, TargetError, UndecidedError
from accept.rows import Rows
from accept.sockets import Client

if TYPE_CHECKING:
    from accept.aws import Aws
    from accept.rows import Row
    from accept.target import Target

MAX_HANDSHAKES = 30
# Every client of every run says so; a run's own clients add the id of the run.
AGENT = "incident-websocket-accept/"


def subject(token: str) -> str:
    """Return the subject of a JSON web token, whose signature the stage verifies.

    Raise `TargetError` if it is not such a token.
    """
    try:
        return str(claims(token)["sub"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise TargetError(f"--token is not a JSON web token with a subject ({error!r})") from error


def claims(token: str) -> Any:
    """Return what a JSON web token says. Raise `LookupError` or `ValueError` for another text."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Run:
    """A run. Its clients, rows and notifications carry its `id`, and it touches no others."""

    def __init__(self, target: Target, aws: Aws, seconds: float, token: str | None = None) -> None:
        self.id = f"accept-{secrets.token_hex(5)}"
        self.target = target
        self.aws = aws
        self.token = token
        self.rows = Rows(aws, target.table)
        self.clients: dict[str, Client] = {}
        self.known: dict[str, Row] = {}  # the rows found so far, by the client's name
        self.read: dict[str, dict[str, Any]] = {}  # answers of AWS that several checks need
        self.handshakes = 0
        self._began = time.monotonic()
        self._ends = self._began + seconds

    @property
    def agent(self) -> str:
        """Return what the user agents of this run's clients begin with."""
        return f"{AGENT}{self.id}"

    def seconds(self) -> float:
        """Return how long the run has taken."""
        return time.monotonic() - self._began

    def left(self, wanted: float) -> float:
        """Return the seconds that a wait of at most `wanted` seconds may take.

        Raise `UndecidedError` once the run is out of time.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise UndecidedError("not made: the run is out of time")
        return min(wanted, left)

    def client_id(self, name: str) -> str:
        """Return the clientId of this run's client `name`, which is the token's subject if any."""
        return subject(self.token) if self.token else f"{self.id}-{name}"

    async def attempt(
        self, name: str, *, client_id: str | None = None, origin: str | None = None
    ) -> Client | int:
        """Attempt a handshake. Return the client, or the status that refused it.

        `name` distinguishes this run's clients; `client_id` is sent instead of the run's own.
        """
        if self.handshakes >= MAX_HANDSHAKES:
            raise UndecidedError(f"not made: the run has made its {MAX_HANDSHAKES} handshakes")
        self.handshakes += 1
        opened = await Client.open(
            self.target.url,
            self.client_id(name) if client_id is None else client_id,
            f"{self.agent} {name}",
            self.left(15),
            origin=origin,
            token=self.token,
        )
        if isinstance(opened, Client):
            self.clients[name] = opened
        return opened

    async def open(self, name: str, client_id: str | None = None) -> Client:
        """Open a client. Raise `FailedError` if its handshake is refused."""
        opened = await self.attempt(name, client_id=client_id)
        if isinstance(opened, int):
            where = f"the log of {self.target.functions['connect']}"
            raise FailedError("a handshake that is accepted", f"HTTP {opened}", where)
        return opened

    async def close(self) -> None:
        """Close the clients that are still open."""
        for client in self.clients.values():
            await client.close()
