"""Clients of one name, and a server that closes their oldest connection when there are too many."""

import asyncio
from random import Random

import pytest

from incident_websocket import IncidentClient
from incident_websocket.session import share
from tests.support.scripted_server import Peer
from tests.support.streams import recovered
from tests.support.virtual_time import run

LATENCY_S = 0.05
REPLACED = {"type": "goodbye", "reason": "replaced", "message": None, "reconnect": False}


class Server:
    """Keeps the newest `limit` connections, which are all one client's."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._peers: list[Peer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, _url: str, _token: str | None) -> Peer:
        """Stand in for the client's own `connect`."""
        await asyncio.sleep(LATENCY_S)
        peer = Peer()
        self._peers = [each for each in self._peers if each.closed is None] + [peer]
        for old in self._peers[: -self._limit]:
            old.say(**REPLACED)
        await asyncio.sleep(LATENCY_S)
        self._tasks.append(asyncio.create_task(self._answer(peer)))
        return peer

    async def _answer(self, peer: Peer) -> None:
        position = {"all": 0, "own": {"seq": 0, "of": "ada"}}
        while True:
            request = await peer.request()
            if request["action"] == "recover":
                peer.say(**recovered([], position, more=False) | {"n": request["n"]})
            else:
                peer.say(type="pong", at=1, n=request["n"], heads={"all": 0})

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def states(seed: int, limit: int, apart_s: float) -> list[str]:
    """Return the states of as many clients as may connect, after two renewals."""
    server = Server(limit)
    clients = [
        IncidentClient("wss://example", connect=server.connect, random=Random(100 * seed + number))
        for number in range(limit)
    ]
    for client in clients:
        await client.__aenter__()
        await asyncio.sleep(apart_s)
    await asyncio.sleep(4 * 3600)
    found: list[str] = [client.state for client in clients]
    for client in clients:
        await client.close()
    server.stop()
    return found


@pytest.mark.parametrize("apart_s", [0, 0.2, 60, 1200])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_renewal_ends_no_other_client_of_the_same_name(limit: int, apart_s: float) -> None:
    """The new connection is one too many for a moment, so the oldest one is to be replaced."""
    for seed in range(2):
        assert run(states(seed, limit, apart_s)) == ["live"] * limit


def test_a_name_has_the_same_share_in_each_language() -> None:
    assert [round(share(name), 6) for name in ("ada", "bob", "ü☃")] == [
        0.219621,
        0.526468,
        0.218258,
    ]
