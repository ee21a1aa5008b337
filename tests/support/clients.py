"""WebSocket clients of a local gateway."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from tests.support.gateway import PATIENCE_S

AT_ONCE = 40  # handshakes


async def opened(url: str, number: int) -> list[ClientConnection]:
    """Open connections side by side."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one() -> ClientConnection:
        async with places:
            return await connect(url, open_timeout=PATIENCE_S, compression=None)

    return await asyncio.gather(*(one() for _ in range(number)))


async def leave(clients: Sequence[ClientConnection]) -> None:
    """Close connections side by side."""
    await asyncio.gather(*(client.close() for client in clients))


def begun_handshake(url: str, receive_buffer: int | None = None) -> socket.socket:
    """Send the request of a handshake and return the socket, from which nothing was read."""
    address = urlsplit(url)
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(PATIENCE_S)
    client.connect((address.hostname, address.port))
    client.sendall(
        f"GET {address.path} HTTP/1.1\r\nHost: {address.hostname}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return client


def wait(happened: Callable[[], bool]) -> None:
    """Poll for something that leaves no line in the gateway's log."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def eventually(happened: Callable[[], bool]) -> None:
    """Poll like `wait`, while the event loop runs."""
    await asyncio.to_thread(wait, happened)
