"""Clients that connect and disconnect, the same for every subject."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from bench.gateway.table import Table

OPEN_TIMEOUT = 60.0  # s
DRAIN_TIMEOUT = 60.0  # s
HOLD_TIMEOUT = 300.0  # s
OPENING_AT_ONCE = 16
WITNESSES = 3


class RowsError(Exception):
    """The table does not contain the rows of the open connections."""

    def __init__(self, url: str, expected: int, seen: int) -> None:
        self.url, self.expected, self.seen = url, expected, seen

    def __str__(self) -> str:
        return f"{self.url}: the table holds {self.seen} rows, expected {self.expected}"


@dataclass(frozen=True)
class Batch:
    """The results of a batch of connect + disconnect cycles."""

    handshakes: tuple[float, ...]  # in s, of the connections that opened
    refused: int
    left: int  # rows that were never deleted
    seconds: float  # from the first handshake until the last row went

    @property
    def rate(self) -> float:
        """Return the whole cycles per second."""
        return (len(self.handshakes) - self.left) / self.seconds


async def open_connection(url: str) -> ClientConnection:
    """Open a WebSocket that sends no pings."""
    return await connect(
        url, compression=None, ping_interval=None, proxy=None, open_timeout=OPEN_TIMEOUT
    )


async def witness(url: str, table: Table) -> None:
    """Raise unless an open connection has a row and a closed one has none."""
    clients = [await open_connection(url) for _ in range(WITNESSES)]
    seen = await asyncio.to_thread(table.count)
    for client in clients:
        await client.close()
    if seen != WITNESSES:
        raise RowsError(url, WITNESSES, seen)
    drained = await asyncio.to_thread(table.drain, DRAIN_TIMEOUT)
    if drained.left:
        raise RowsError(url, 0, drained.left)


async def cycle_batch(
    url: str, table: Table, cycles: int, concurrency: int, seconds: float
) -> Batch:
    """Run cycles with so many clients at once; start none after `seconds` s."""
    started = time.perf_counter()
    tickets = _tickets(cycles, started + seconds)
    workers = await asyncio.gather(*(_work(url, tickets) for _ in range(concurrency)))
    drained = await asyncio.to_thread(table.drain, DRAIN_TIMEOUT)
    handshakes = [handshake for worker in workers for handshake in worker]
    opened = tuple(handshake for handshake in handshakes if handshake is not None)
    return Batch(opened, len(handshakes) - len(opened), drained.left, drained.at - started)


def _tickets(cycles: int, deadline: float) -> Iterator[int]:
    for number in range(cycles):
        if time.perf_counter() > deadline:
            return
        yield number


async def _work(url: str, tickets: Iterator[int]) -> list[float | None]:
    return [await _cycle(url) for _ in tickets]


async def _cycle(url: str) -> float | None:
    """Return the handshake's time in s, or None when it was refused."""
    started = time.perf_counter()
    try:
        client = await open_connection(url)
    except (WebSocketException, OSError):
        return None
    opened = time.perf_counter()
    await client.close()
    return opened - started


async def hold(url: str, table: Table, count: int, weigh: Callable[[], int]) -> int:
    """Return a server's memory with that many idle connections; raise if rows are missing."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def opened() -> ClientConnection:
        async with gate:
            return await open_connection(url)

    async with asyncio.timeout(HOLD_TIMEOUT):
        clients = await asyncio.gather(*(opened() for _ in range(count)))
    seen = await asyncio.to_thread(table.count)
    memory = await asyncio.to_thread(weigh)
    await asyncio.gather(*(client.close() for client in clients))
    drained = await asyncio.to_thread(table.drain, HOLD_TIMEOUT)
    for expected, rows in ((count, seen), (0, drained.left)):
        if rows != expected:
            raise RowsError(url, expected, rows)
    return memory
