"""Clients of both libraries that a test can cut, hold back, and ask what they were given."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from incident_websocket import Gap, IncidentClient, Notification
from incident_websocket.transport import Socket, connect
from tests.support.gateway import PATIENCE_S
from tests.support.node import FOLDER, node


@dataclass
class Told:
    """What a client was told, in this order."""

    notifications: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    goodbyes: list[Any] = field(default_factory=list)
    state: str = "idle"
    errors: list[str] = field(default_factory=list)


class Readers(Protocol):
    """Clients, by their `clientId`."""

    told: dict[str, Told]

    def cut(self, client_id: str) -> None:
        """Cut a client's connections, without a close frame."""

    def hold(self) -> None:
        """Let no client connect."""

    def release(self) -> None:
        """Let clients connect again."""


class PythonReaders:
    """Clients in this process."""

    def __init__(self, client_ids: Sequence[str]) -> None:
        self.told = {client_id: Told() for client_id in client_ids}
        self._sockets: dict[str, list[Socket]] = {client_id: [] for client_id in client_ids}
        self._open = asyncio.Event()
        self._open.set()

    async def read(self, address: str, client_id: str, **options: Any) -> None:
        """Run a client until it is cancelled."""

        async def dial(url: str, token: str | None) -> Socket:
            if not self._open.is_set():
                raise OSError("held")
            socket = await connect(url, token)
            # no client has more than two at once
            self._sockets[client_id] = [*self._sockets[client_id][-1:], socket]
            return socket

        told = self.told[client_id]
        client = IncidentClient(address, client_id=client_id, connect=dial, **options)
        client.on_state = lambda state: setattr(told, "state", state)
        client.on_goodbye = told.goodbyes.append
        client.on_error = lambda error: told.errors.append(repr(error))
        async with client:
            async for item in client:
                match item:
                    case Gap(stream, after, to):
                        told.gaps.append({"stream": stream, "after": after, "to": to})
                    case Notification():
                        fields = ("id", "stream", "seq", "recovered")
                        told.notifications.append({name: getattr(item, name) for name in fields})

    def cut(self, client_id: str) -> None:
        """Cut a client's connections."""
        while self._sockets[client_id]:
            self._sockets[client_id].pop().abort()

    def hold(self) -> None:
        """Let no client connect."""
        self._open.clear()

    def release(self) -> None:
        """Let clients connect again."""
        self._open.set()


class ProcessReaders:
    """Clients in another process."""

    def __init__(self, process: asyncio.subprocess.Process, client_ids: Sequence[str]) -> None:
        self.told = {client_id: Told() for client_id in client_ids}
        self.pid = process.pid
        self._process = process

    async def listen(self) -> None:
        """Take in what the process prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            told = self.told[news.pop("client")]
            match news:
                case {"notification": notification}:
                    told.notifications.append(notification)
                case {"gap": gap}:
                    told.gaps.append(gap)
                case {"goodbye": goodbye}:
                    told.goodbyes.append(goodbye)
                case {"state": state}:
                    told.state = state
                case {"error": error}:
                    told.errors.append(error)

    def cut(self, client_id: str) -> None:
        """Cut a client's connections."""
        self._say(f"cut {client_id}")

    def hold(self) -> None:
        """Let no client connect."""
        self._say("hold")

    def release(self) -> None:
        """Let clients connect again."""
        self._say("release")

    def end(self) -> None:
        """Close the clients, and the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())


@asynccontextmanager
async def python_readers(
    address: str, client_ids: Sequence[str], **options: Any
) -> AsyncIterator[Readers]:
    """Run clients of the Python library. Options are the library's."""
    readers = PythonReaders(client_ids)
    reading = [
        asyncio.create_task(readers.read(address, client_id, **options)) for client_id in client_ids
    ]
    try:
        yield readers
    finally:
        for task in reading:
            task.cancel()
        results = await asyncio.gather(*reading, return_exceptions=True)
        failures = [each for each in results if isinstance(each, Exception)]
        assert not failures, failures


@asynccontextmanager
async def node_readers(
    address: str, client_ids: Sequence[str], **options: Any
) -> AsyncIterator[ProcessReaders]:
    """Run clients of the JavaScript library, in one process. Options are the library's."""
    command = (await asyncio.to_thread(node), str(FOLDER / "test" / "reader.js"))
    async with process_readers(command, address, client_ids, **options) as readers:
        yield readers


@asynccontextmanager
async def process_readers(
    command: Sequence[str], address: str, client_ids: Sequence[str], **options: Any
) -> AsyncIterator[ProcessReaders]:
    """Run clients in the process of a command. Options are the library's."""
    arguments = {"address": address, "ids": list(client_ids), "options": options}
    process = await asyncio.create_subprocess_exec(
        *command,
        json.dumps(arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    readers = ProcessReaders(process, client_ids)
    listening = asyncio.create_task(readers.listen())
    try:
        yield readers
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            await listening
            assert await process.wait() == 0


async def until(happened: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.02)
