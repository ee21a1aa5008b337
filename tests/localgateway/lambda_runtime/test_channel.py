"""Lines over a channel: whole, in order, bounded in size and time."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from localgateway.lambda_runtime.channel import Channel
from tests.localgateway.support import PATIENCE


def with_channel(
    use: Callable[[Channel, socket.socket], Awaitable[None]],
    limit: int = 100,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a coroutine with a channel and the socket at its other end."""

    async def run() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            channel = await Channel.open(ours, limit)
            await use(channel, theirs)
            channel.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


@pytest.mark.parametrize(
    "parts", [[b"one\ntwo\n"], [b"o", b"ne", b"\nt", b"wo\n"], [b"one\nt", b"wo\n"]]
)
def test_lines_come_whole_and_in_order(parts: list[bytes]) -> None:
    """In whatever parts the socket delivers them."""

    async def use(channel: Channel, other: socket.socket) -> None:
        first = asyncio.create_task(channel.line(PATIENCE))
        for part in parts:
            other.sendall(part)
            await asyncio.sleep(0.001)
        assert await first == b"one\n"
        assert await channel.line(PATIENCE) == b"two\n"

    with_channel(use)


def test_a_closed_end_is_no_line() -> None:
    """Also if a part of a line came before."""

    async def use(channel: Channel, other: socket.socket) -> None:
        other.sendall(b"half")
        other.close()
        assert await channel.line(PATIENCE) == b""
        assert channel.closed

    with_channel(use)


def test_a_line_to_a_closed_end_is_lost() -> None:
    """On the gateway's event loop, which would raise an error."""

    async def use(channel: Channel, other: socket.socket) -> None:
        other.close()
        assert await channel.line(PATIENCE) == b""
        channel.write(b"one\n")
        assert await channel.line(PATIENCE) == b""

    with_channel(use, loop_factory=uvloop.new_event_loop)


def test_silence_is_a_timeout() -> None:
    async def use(channel: Channel, other: socket.socket) -> None:
        del other
        with pytest.raises(TimeoutError):
            await channel.line(0.01)

    with_channel(use)


@pytest.mark.parametrize("line", [b"x" * 200, b"x" * 200 + b"\n"])
def test_a_long_line_is_an_error(line: bytes) -> None:
    """With or without its end."""

    async def use(channel: Channel, other: socket.socket) -> None:
        other.sendall(line)
        with pytest.raises(ValueError, match="exceeds 100 bytes"):
            await channel.line(PATIENCE)

    with_channel(use)
