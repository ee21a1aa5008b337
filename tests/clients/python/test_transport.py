"""The client over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from incident_websocket.errors import ConnectionEndedError
from incident_websocket.transport import Socket, connect

PATIENCE_S = 60


@asynccontextmanager
async def connected(
    token: str | None = None, refuse: int | None = None
) -> AsyncIterator[tuple[Socket, ServerConnection]]:
    """Open a connection and return both ends."""
    arrived: asyncio.Future[ServerConnection] = asyncio.Future()

    async def handle(connection: ServerConnection) -> None:
        arrived.set_result(connection)
        await connection.wait_closed()

    def answer(connection: ServerConnection, _: object) -> object:
        return None if refuse is None else connection.respond(refuse, "no")

    async with (
        asyncio.timeout(PATIENCE_S),
        serve(handle, "127.0.0.1", 0, process_request=answer) as server,  # type: ignore[arg-type]
    ):
        port = server.sockets[0].getsockname()[1]
        socket = await connect(f"ws://127.0.0.1:{port}/prod", token)
        yield socket, await arrived
        socket.abort()


def test_messages_go_both_ways_and_the_token_into_the_header() -> None:
    async def talk() -> None:
        async with connected(token="secret") as (socket, server):
            await socket.send("ü")
            await server.send("pong")

            assert await server.recv() == "ü"
            assert await socket.receive() == "pong"
            assert server.request is not None
            assert server.request.headers["Authorization"] == "Bearer secret"
            assert "Sec-WebSocket-Extensions" not in server.request.headers

    asyncio.run(talk())


def test_without_a_token_there_is_no_header() -> None:
    async def talk() -> None:
        async with connected() as (_, server):
            assert server.request is not None
            assert "Authorization" not in server.request.headers

    asyncio.run(talk())


@pytest.mark.parametrize(("method", "code"), [("close", 1000), ("abort", 1006)])
def test_each_end_has_its_code(method: str, code: int) -> None:
    async def end() -> int | None:
        async with connected() as (socket, server):
            if method == "close":
                await socket.close()
            else:
                socket.abort()
            await server.wait_closed()
            with pytest.raises(ConnectionEndedError):
                await socket.receive()
            with pytest.raises(ConnectionEndedError):
                await socket.send("late")
            return server.close_code

    assert asyncio.run(end()) == code


def test_a_refused_handshake_raises() -> None:
    async def refused() -> None:
        with pytest.raises(InvalidStatus, match="401"):
            async with connected(refuse=401):
                """Never entered."""

    asyncio.run(refused())
