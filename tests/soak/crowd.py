"""Clients without a library: they connect, stay for a while, and leave or die."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from tests.soak.invariants import Life
from tests.soak.plan import IDLE_S
from tests.support.gateway import PATIENCE_S
from tests.support.node import node

STAY_S = (2.0, 40.0)
PAUSE_S = (0.5, 4.0)
LEAVING_S = 5.0
FAITHFUL = 0.3  # of the visits last until the gateway closes them
HANDSHAKE_S = 40.0  # API Gateway answers within 29 s
DEAF = 0.1  # of the raw sockets
LEAVING_CODE = 4001  # the server's own closes have other codes
_CLOSE_FRAME = b"\x88\x82\0\0\0\0" + LEAVING_CODE.to_bytes(2)  # with a mask of zeros


@dataclass(eq=False)
class Visit:
    """One connection: when it opened (epoch s, 0 before that), and what it got.

    `left` is when the client sent a close frame, `has_heard_all` whether that was answered, and
    not crossed by a close frame of the server's.
    """

    client_id: str
    opened: float = 0.0
    left: float = 0.0
    has_heard_all: bool = False
    got: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: bool = False

    def life(self) -> Life:
        """Return the record of it."""
        heard = self.left if self.has_heard_all else 0.0
        return Life(self.client_id, self.opened, frozenset(self.got), heard)


class Dialer(Protocol):
    """Opens connections of one kind."""

    async def dial(self, client_id: str, random: Random) -> Visit:
        """Open a connection; one that failed has ended."""

    def leave(self, visit: Visit) -> None:
        """Send a close frame."""

    def cut(self, visit: Visit, random: Random) -> None:
        """End without a close frame."""


class Raw:
    """Sockets whose handshake and frames are written by hand."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._writers: dict[Visit, asyncio.StreamWriter] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def dial(self, client_id: str, random: Random) -> Visit:
        """Open a connection. Some are deaf: they read nothing after the handshake."""
        visit = Visit(client_id)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                reader, writer = await asyncio.open_connection(
                    self._address.hostname, self._address.port
                )
                self._writers[visit] = writer
                writer.write(
                    f"GET {self._address.path}?clientId={client_id} HTTP/1.1\r\n"
                    f"Host: {self._address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    "Sec-WebSocket-Version: 13\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._end(visit)
            return visit
        except asyncio.CancelledError:
            self._end(visit)
            raise
        if b" 101 " not in head.partition(b"\r\n")[0]:
            self._end(visit)
            return visit
        visit.opened = time.time()
        if random.random() >= DEAF:
            task = asyncio.create_task(self._read(visit, reader))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        return visit

    def leave(self, visit: Visit) -> None:
        """Send a close frame."""
        if writer := self._writers.get(visit):
            visit.left = visit.left or time.time()
            writer.write(_CLOSE_FRAME)

    def cut(self, visit: Visit, random: Random) -> None:
        """End with a FIN or a RST."""
        if writer := self._writers.get(visit):
            if random.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                raw = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._end(visit)

    async def _read(self, visit: Visit, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first, size = await reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2))
                elif size == 127:
                    size = int.from_bytes(await reader.readexactly(8))
                body = await reader.readexactly(size)
                if first == 0x88:
                    visit.has_heard_all = body == LEAVING_CODE.to_bytes(2)
                    break
                if first == 0x81 and (message := json.loads(body))["type"] == "notification":
                    visit.got.add(message["id"])
        self.leave(visit)
        self._end(visit)

    def _end(self, visit: Visit) -> None:
        if writer := self._writers.pop(visit, None):
            writer.close()
        visit.has_ended = True
        visit.news.set()


class Ws:
    """Connections of the package `ws`, in a process of Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process
        self._numbers: dict[Visit, int] = {}
        self._visits: dict[int, Visit] = {}
        self._next = 0

    async def dial(self, client_id: str, random: Random) -> Visit:
        """Open a connection."""
        del random
        visit = Visit(client_id)
        self._next += 1
        self._numbers[visit], self._visits[self._next] = self._next, visit
        self._say(f"open {self._next} {client_id}")
        await visit.news.wait()
        if not visit.has_ended:
            visit.news.clear()
        return visit

    def leave(self, visit: Visit) -> None:
        """Send a close frame."""
        if visit in self._numbers:
            visit.left = time.time()
            self._say(f"leave {self._numbers[visit]} {LEAVING_CODE}")

    def cut(self, visit: Visit, random: Random) -> None:
        """End without a close frame."""
        del random
        if visit in self._numbers:
            self._say(f"cut {self._numbers[visit]}")

    async def listen(self) -> None:
        """Take in what the process prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            visit = self._visits[news["number"]]
            match news:
                case {"opened": at}:
                    visit.opened = at / 1000
                    visit.news.set()
                case {"got": identifier}:
                    visit.got.add(identifier)
                case {"closed": code}:
                    visit.has_heard_all = code == LEAVING_CODE
                    del self._visits[news["number"]], self._numbers[visit]
                    visit.has_ended = True
                    visit.news.set()

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())


@asynccontextmanager
async def ws_clients(url: str) -> AsyncIterator[Ws]:
    """Run the process of the clients of `ws`."""
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(node),
        os.fspath(Path(__file__).with_name("crowd.js")),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    clients = Ws(process)
    listening = asyncio.create_task(clients.listen())
    try:
        yield clients
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            await listening
            await process.wait()


async def visit_again_and_again(
    dialer: Dialer, client_id: str, random: Random, visits: list[Visit]
) -> None:
    """Connect, stay, leave or die, and come back, until cancelled; then leave."""
    while True:
        await asyncio.sleep(random.uniform(*PAUSE_S))
        visit = await dialer.dial(client_id, random)
        if not visit.opened:
            continue
        visits.append(visit)
        try:
            is_faithful = random.random() < FAITHFUL
            await _ended(visit, IDLE_S + LEAVING_S if is_faithful else random.uniform(*STAY_S))
            if not visit.has_ended and random.random() < 0.5:
                dialer.leave(visit)
                await _ended(visit, LEAVING_S)
        finally:
            dialer.cut(visit, random)


async def _ended(visit: Visit, seconds: float) -> None:
    """Wait until a visit has ended, for some seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await visit.news.wait()


@asynccontextmanager
async def crowd(
    dialers: Sequence[tuple[Dialer, Sequence[str]]], random: Random
) -> AsyncIterator[list[Visit]]:
    """Run a client for each id, and yield their visits so far."""
    visits: list[Visit] = []
    tasks = [
        asyncio.create_task(
            visit_again_and_again(dialer, client_id, Random(random.random()), visits)
        )
        for dialer, client_ids in dialers
        for client_id in client_ids
    ]
    try:
        yield visits
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
