"""The rules of the client, each by the failure that it prevents. Time is virtual."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from incident_websocket import Gap, Goodbye, IncidentClient, Notification, Position
from incident_websocket.backoff import Backoff
from incident_websocket.errors import TokenCancelledError
from tests.support.scripted_server import Peer, ScriptedServer
from tests.support.streams import notification, recovered
from tests.support.virtual_time import run

CHAIN = [notification("all", seq, seq - 1) for seq in range(1, 2001)]


def now() -> float:
    """Return loop.time(), which is 0 at the beginning."""
    return asyncio.get_running_loop().time()


class Consumer:
    """Takes all items of a client, as they come."""

    def __init__(self, client: IncidentClient) -> None:
        self.items: list[Notification | Gap] = []
        self.done = False
        self._task = asyncio.create_task(self._consume(client))
        self._news = asyncio.Event()

    async def _consume(self, client: IncidentClient) -> None:
        async for item in client:
            self.items.append(item)
            self._news.set()
        self.done = True
        self._news.set()

    async def has(self, number: int) -> list[Any]:
        """Wait for items and return them: ids, and gaps as pairs."""
        while len(self.items) < number and not self.done:
            self._news.clear()
            await self._news.wait()
        return self.got

    @property
    def got(self) -> list[Any]:
        return [
            item.id if isinstance(item, Notification) else (item.after, item.to)
            for item in self.items
        ]

    async def end(self) -> list[Any]:
        """Wait for the end of the loop."""
        await self._task
        return self.got


class World:
    """A client, the server it talks to, its consumer, and what it told."""

    def __init__(self, **options: Any) -> None:
        self.server = ScriptedServer()
        self.clock_skew = 0.0
        options.setdefault("random", Random(0))
        self.client = IncidentClient(
            "wss://example/prod",
            connect=self.server.connect,
            now=lambda: now() + self.clock_skew,
            **options,
        )
        self.states: list[tuple[float, str]] = []
        self.goodbyes: list[Goodbye] = []
        self.errors: list[Exception] = []
        self.client.on_state = lambda state: self.states.append((now(), state))
        self.client.on_goodbye = self.goodbyes.append
        self.client.on_error = self.errors.append

    async def live(self, position: int | None = 0, client: str | None = None) -> Peer:
        """Accept the next attempt and answer its recovery with nothing new."""
        peer = await self.server.accept()
        await answer(peer, position, client=client)
        return peer

    async def reached(self, state: str) -> None:
        """Wait until the client is in a state."""
        while self.client.state != state:
            await asyncio.sleep(0.001)


async def answer(
    peer: Peer,
    position: int | None,
    *entries: dict[str, Any],
    more: bool = False,
    client: str | None = None,
    **advice: float,
) -> dict[str, Any]:
    """Answer the next recovery, and return the request."""
    request = await peer.heard("recover")
    positions: dict[str, Any] = {"all": position}
    if client is not None:
        positions["own"] = {"seq": 0, "of": client}
    message = recovered(list(entries), positions, more=more)
    peer.say(**message | {"n": request["n"]} | ({"advice": advice} if advice else {}))
    return request


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[tuple[World, Consumer]]:
    """Run a client and a consumer."""
    made = World(**options)
    async with made.client as client:
        yield made, Consumer(client)


def scenario(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run an asynchronous test in virtual time."""

    def test_in_virtual_time() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(24 * 3600):
                await test()

        run(bounded())

    test_in_virtual_time.__doc__ = test.__doc__
    return test_in_virtual_time


def token_until(expires_at: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires_at}).encode()).decode()
    return f"header.{claims.rstrip('=')}.signature"


@scenario
async def test_it_recovers_then_lives() -> None:
    async with world(position={"all": 3}, client_id="ada/1") as (here, consumer):
        peer = await here.server.accept()
        request = await answer(peer, 5, *CHAIN[3:5])
        await here.reached("live")
        peer.say(**CHAIN[5])
        got = await consumer.has(3)

    assert request == {"action": "recover", "after": {"all": 3}, "n": 1}
    assert got == ["all-4", "all-5", "all-6"]
    assert [item.recovered for item in consumer.items] == [True, True, False]  # type: ignore[union-attr]
    assert here.server.attempts[0].url == "wss://example/prod?clientId=ada%2F1"
    assert [state for _, state in here.states] == ["connecting", "recovering", "live", "closed"]
    assert peer.closed == "close"
    assert here.client.position == {"all": 6}


@scenario
async def test_without_a_position_it_asks_for_the_last_and_has_one_from_then_on() -> None:
    """Also if no notification ever came."""
    async with world(last=5) as (here, consumer):
        peer = await here.server.accept()
        first = await answer(peer, 7)
        await here.reached("live")
        position = here.client.position
        peer.end()
        peer = await here.server.accept()
        second = await answer(peer, 8, CHAIN[7])
        got = await consumer.has(1)

    assert first["after"] is None
    assert first["last"] == 5
    assert position == {"all": 7}
    assert (second["after"], "last" in second) == ({"all": 7}, False)
    assert got == ["all-8"]


# Rule 1: one recovery in flight; stale answers; failures


@scenario
async def test_an_answer_with_another_number_is_ignored() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        request = await peer.heard("recover")
        peer.say(**recovered([CHAIN[8]], {"all": 9}, more=False) | {"n": request["n"] + 7})
        peer.say(**recovered([CHAIN[3]], {"all": 4}, more=False) | {"n": request["n"]})

        assert await consumer.has(1) == ["all-4"]


@scenario
async def test_an_unanswered_recovery_is_repeated_on_a_connection_that_answers_pings() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        await peer.heard("recover")
        await peer.heard("ping")
        asked_at = now()
        peer.say(type="pong", at=1)
        await answer(peer, 4, CHAIN[3])
        got = await consumer.has(1)

    assert asked_at == pytest.approx(10)
    assert got == ["all-4"]
    assert len(here.server.attempts) == 1


@scenario
async def test_pages_that_come_late_are_taken() -> None:
    """On a slow network each one does, and the pong is behind it."""
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        for number in (3, 4):
            request = await peer.heard_next("recover")
            ping = await peer.heard("ping")
            await asyncio.sleep(2)
            page = recovered([CHAIN[number]], {"all": number + 1}, more=number == 3)
            peer.say(**page | {"n": request["n"]})
            peer.say(type="pong", at=1, n=ping["n"])
        got = await consumer.has(2)
        await here.reached("live")

    assert got == ["all-4", "all-5"]
    assert request["after"] == {"all": 4}
    assert len(here.server.attempts) == 1


@scenario
async def test_an_unanswered_recovery_drops_a_connection_that_is_dead() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        dead = await here.server.accept()
        peer = await here.server.accept()
        reopened_at = here.server.attempts[1].at
        dead.say(**recovered([CHAIN[8]], {"all": 9}, more=False) | {"n": 1})
        await answer(peer, 4, CHAIN[3])
        got = await consumer.has(1)

    assert 15 <= reopened_at <= 20
    assert dead.closed == "abort"
    assert got == ["all-4"]


@pytest.mark.parametrize(
    "failure",
    [
        {"type": "error", "code": "try_again", "message": "busy", "n": 1},
        {"type": "error", "code": "try_again", "message": "busy"},
        {"message": "Too Many Requests", "connectionId": "a", "requestId": "b"},
    ],
)
def test_a_recovery_that_fails_is_tried_again_ever_more_rarely(failure: dict[str, Any]) -> None:
    """API Gateway's own frames count too. The client stays connected, and posts go on meanwhile."""

    async def fails() -> None:
        times = []
        async with asyncio.timeout(7200), world(position={"all": 3}) as (here, consumer):
            peer = await here.server.accept()
            while now() < 3600:
                request = await peer.request()
                if request["action"] == "ping":
                    peer.say(type="pong", at=1, n=request["n"])
                    continue
                times.append(now())
                if len(times) == 9:
                    peer.say(**CHAIN[3])
                peer.say(**failure | ({"n": request["n"]} if "n" in failure else {}))
            request = await peer.heard_next("recover")
            peer.say(**recovered([], {"all": 4}, more=False) | {"n": request["n"]})
            await here.reached("live")

        assert times[2] < 5
        assert 50 < len(times) < 240
        assert consumer.got == ["all-4"]
        assert len(here.server.attempts) == 1

    run(fails())


@pytest.mark.parametrize("position", [None, {"all": 3}])
@pytest.mark.parametrize("code", [{}, {"code": "bad_request"}])
def test_a_server_without_a_history_still_notifies(
    position: Position | None, code: dict[str, str]
) -> None:
    """It answers that it does not know the message, and a ping with a plain pong."""
    unrecorded = {key: CHAIN[0][key] for key in ("type", "id", "sentAt", "subject", "message")}

    async def notifies() -> None:
        async with world(position=position) as (here, consumer):
            peer = await here.server.accept()
            await peer.heard("recover")
            peer.say(type="error", message="unknown message", **code)
            peer.say(**unrecorded)
            got = await consumer.has(1)
            await peer.heard("ping")
            peer.say(type="pong", at=1)
            await peer.heard("ping")

        assert got == ["all-1"]
        assert [state for _, state in here.states][:3] == ["connecting", "recovering", "live"]
        assert here.client.position == (position or {})

    run(notifies())


@scenario
async def test_what_is_held_is_given_when_the_history_is_switched_off() -> None:
    """Nothing can bring what is missing, so it is told, and the client does not go on asking."""
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.live(3)
        for entry in (CHAIN[5], CHAIN[8]):
            peer.say(**entry)
        await peer.heard("recover")
        peer.say(type="error", code="bad_request", message="unknown message")
        got = await consumer.has(4)
        for _ in range(3):
            request = await peer.heard("ping")
            peer.say(type="pong", at=1, n=request["n"])

    assert got == [(3, 5), "all-6", (6, 8), "all-9"]


@scenario
async def test_what_is_held_of_its_own_stream_is_given_when_that_is_switched_off() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        peer.say(**notification("own", 7, 6))
        await answer(peer, 3)
        got = await consumer.has(1)
        for _ in range(3):
            request = await peer.heard("ping")
            peer.say(type="pong", at=1, n=request["n"], heads={"all": 3})

    assert got == ["own-7"]


@scenario
async def test_a_position_that_the_server_refuses_is_a_gap() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        request = await peer.heard("recover")
        peer.say(type="error", code="bad_request", message="after is wrong", n=request["n"])
        again = await answer(peer, 7)

        assert again["after"] is None
        assert await consumer.has(1) == [(3, 7)]


# Rule 2: tokens and handshakes


@scenario
async def test_a_token_that_fails_or_hangs_is_a_failed_attempt() -> None:
    calls: list[float] = []

    async def token() -> str:
        calls.append(now())
        if len(calls) == 1:
            raise RuntimeError("the login has expired")
        if len(calls) == 2:
            await asyncio.Event().wait()
        return "secret"

    async with world(token=token) as (here, _):
        await here.live()

    assert calls[2] - calls[1] >= 10
    assert [attempt.token for attempt in here.server.attempts] == ["secret"]
    assert [type(error.__cause__) for error in here.errors] == [RuntimeError, TimeoutError]


@scenario
async def test_a_token_whose_source_is_cancelled_is_a_failed_attempt() -> None:
    """It is not the client that is cancelled."""
    refreshing = [asyncio.get_running_loop().create_future() for _ in range(2)]
    refreshing[0].cancel()
    refreshing[1].set_result("secret")
    sources = iter(refreshing)

    async def token() -> str:
        return str(await next(sources))

    async with world(token=token) as (here, _):
        await here.live()

    assert [attempt.token for attempt in here.server.attempts] == ["secret"]
    assert [type(error.__cause__) for error in here.errors] == [TokenCancelledError]


@scenario
async def test_a_client_that_is_closed_does_not_wait_for_its_token() -> None:
    async def token() -> str:
        await asyncio.Event().wait()
        return "secret"

    async with world(token=token) as (here, _):
        await here.reached("connecting")

    assert now() < 1
    assert here.errors == []


@scenario
async def test_a_handshake_that_is_never_answered_is_given_up() -> None:
    """A connection that is CONNECTING for ever must not count as busy."""
    async with world() as (here, _):
        hanging = await here.server.attempt()
        await here.live()

    assert hanging.outcome.cancelled()
    assert 10 <= here.server.attempts[1].at <= 11


# Rule 3: back-off


def test_delays_grow_and_spread() -> None:
    """Full jitter: any delay up to the bound, which doubles up to a minute."""
    backoffs = [Backoff(Random(seed)) for seed in range(200)]

    rounds = [[backoff.failed(spread_s=5) for backoff in backoffs] for _ in range(2000)]

    for number, delays in enumerate(rounds[:12]):
        bound = min(60, 0.5 * 2**number)
        assert max(delays) <= bound
        assert min(delays) < 0.1 * bound
        assert max(delays) > 0.9 * bound
    assert max(rounds[-1]) <= 60
    assert max(backoff.failed(spread_s=3600) for backoff in backoffs) > 3000


def test_a_long_life_resets_the_delay_and_spreads_the_return() -> None:
    backoffs = [Backoff(Random(seed)) for seed in range(200)]
    for backoff in backoffs:
        for _ in range(20):
            backoff.failed(spread_s=5)

    short = [backoff.ended(lived_s=29, spread_s=5) for backoff in backoffs]
    long = [backoff.ended(lived_s=30, spread_s=5) for backoff in backoffs]
    failed = [backoff.failed(spread_s=5) for backoff in backoffs]

    assert max(short) > 50
    assert 4.5 < max(long) <= 5
    assert min(long) < 0.5
    assert max(failed) <= 0.5


@scenario
async def test_it_never_gives_up() -> None:
    async with world() as (here, _):
        for _ in range(1000):
            (await here.server.attempt()).refuse()
        await here.live()
        await here.reached("live")

    assert len(here.errors) == 1000


# Rule 4: sleep


@scenario
async def test_a_machine_that_wakes_up_while_waiting_connects_at_once() -> None:
    async with world(spread_seconds=3600) as (here, _):
        first = await here.live()
        await asyncio.sleep(40)
        first.end()
        await here.reached("waiting")
        here.clock_skew += 3600
        woke_at = now()
        await here.live()

    assert here.server.attempts[1].at - woke_at <= 15


@scenario
async def test_a_machine_that_wakes_up_checks_its_connection() -> None:
    """A half-open connection answers nothing; nothing else would show that for minutes."""
    async with world() as (here, _):
        dead = await here.live()
        await dead.heard("ping")
        dead.say(type="pong", at=1, n=2, heads={"all": 0})
        await asyncio.sleep(20)
        here.clock_skew += 3600
        woke_at = now()
        request = await dead.heard("ping")
        await here.live()

    assert "heads" not in request
    assert dead.closed == "abort"
    assert here.server.attempts[1].at - woke_at <= 15 + 5 + 5


# Rule 5: keep-alive


@scenario
async def test_keep_alive_notices_what_was_never_posted() -> None:
    async with world(keep_alive_seconds=300) as (here, consumer):
        peer = await here.live(7)
        times = []
        for number in range(3):
            request = await peer.heard("ping")
            times.append(now())
            peer.say(type="pong", at=1, n=request["n"], heads={"all": 7 + number // 2, "own": 0})
        await answer(peer, 8, CHAIN[7])
        got = await consumer.has(1)

    assert request["heads"] is True
    assert times[0] == pytest.approx(10, abs=0.1)
    assert 270 <= times[1] - times[0] <= 330.1
    assert got == ["all-8"]


@scenario
async def test_two_missed_pongs_end_a_connection() -> None:
    async with world() as (here, _):
        dead = await here.live()
        for _ in range(2):
            await dead.heard("ping")
        await here.live()

    assert dead.closed == "abort"


@scenario
async def test_the_server_advises_intervals() -> None:
    async with world() as (here, _):
        peer = await here.server.accept()
        await answer(peer, 0, keepAliveSeconds=60, spreadSeconds=600)
        for number in range(2):
            request = await peer.heard("ping")
            if number == 0:
                first = now()
                peer.say(type="pong", at=1, n=request["n"], heads={"all": 0})

    assert 54 <= now() - first <= 66.1


# What is missing


@scenario
async def test_a_hole_that_stays_is_recovered() -> None:
    async with world(position={"all": 3}, spread_seconds=0) as (here, consumer):
        peer = await here.live(3)
        peer.say(**CHAIN[4])
        said_at = now()
        request = await answer(peer, 5, *CHAIN[3:5])
        asked_at = now()
        got = await consumer.has(2)

    assert request["after"] == {"all": 3}
    assert asked_at - said_at == pytest.approx(1, abs=0.1)
    assert got == ["all-4", "all-5"]


@scenario
async def test_a_hole_that_fills_itself_is_not_recovered() -> None:
    async with world(position={"all": 3}, spread_seconds=0) as (here, consumer):
        peer = await here.live(3)
        peer.say(**CHAIN[4])
        peer.say(**CHAIN[3])
        got = await consumer.has(2)
        request = await peer.heard("ping")

    assert got == ["all-4", "all-5"]
    assert request["heads"]


@scenario
async def test_pages_are_read_one_after_the_other() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.server.accept()
        await answer(peer, 5, *CHAIN[3:5], more=True)
        second = await answer(peer, 6, CHAIN[5])
        got = await consumer.has(3)

    assert second["after"] == {"all": 5}
    assert got == ["all-4", "all-5", "all-6"]


@scenario
async def test_a_page_that_gets_nowhere_is_not_asked_for_again_at_once() -> None:
    async with world(position={"all": 3}) as (here, _):
        peer = await here.server.accept()
        for _ in range(4):
            await answer(peer, 3, more=True)
        await answer(peer, 3)
        await here.reached("live")
        assert 0 < now() < 10


@scenario
async def test_a_slow_consumer_does_not_fill_the_memory() -> None:
    """What does not fit is left in the history until the consumer has caught up."""
    made = World(position={"all": 0}, spread_seconds=0)
    async with made.client as client:
        peer = await made.live(0)
        await made.reached("live")
        for entry in CHAIN[:1500]:
            peer.say(**entry)
        await asyncio.sleep(5)
        quiet = peer.nothing_heard()
        consumer = Consumer(client)
        request = await answer(peer, 1500, *CHAIN[1000:1500])
        got = await consumer.has(1500)

    assert quiet
    assert request["after"] == {"all": 1000}
    assert got == [f"all-{number}" for number in range(1, 1501)]


# Rule 6: replacing a connection


@scenario
async def test_a_connection_is_replaced_without_a_break() -> None:
    """Both connections deliver meanwhile, and each notification is given once."""
    async with world(position={"all": 3}, renewal_seconds=(40, 50)) as (here, consumer):
        old = await here.live(3)
        await old.heard("ping")
        old.say(type="pong", at=1, n=2, heads={"all": 3})
        new = await here.server.accept()
        renewed_at = now()
        old.say(**CHAIN[3])
        new.say(**CHAIN[3])
        await consumer.has(1)
        open_meanwhile = old.closed is None
        await answer(new, 5, CHAIN[4])
        new.say(**CHAIN[5])
        got = await consumer.has(3)

    assert 40 <= renewed_at <= 50.1
    assert open_meanwhile
    assert old.closed == "close"
    assert got == ["all-4", "all-5", "all-6"]
    assert [state for _, state in here.states][2:] == ["live", "renewing", "live", "closed"]


@scenario
async def test_a_replacement_that_fails_leaves_the_old_connection() -> None:
    async with world(position={"all": 3}, renewal_seconds=(8, 8)) as (here, consumer):
        old = await here.live(3)
        (await here.server.attempt()).refuse()
        await here.reached("live")
        old.say(**CHAIN[3])
        got = await consumer.has(1)
        await here.live(4)
        await here.reached("live")
        await asyncio.sleep(7)

    assert got == ["all-4"]
    assert old.closed == "close"
    assert len(here.server.attempts) == 3


REPLACED = {"type": "goodbye", "reason": "replaced", "message": None, "reconnect": False}


@pytest.mark.parametrize("succeeds", [True, False])
def test_our_own_replacement_is_no_reason_to_leave(succeeds: bool) -> None:
    """With a limit of one connection, the server closes the old one for the new one."""

    async def replaced() -> None:
        async with world(position={"all": 3}, renewal_seconds=(8, 8)) as (here, consumer):
            old = await here.live(3)
            attempt = await here.server.attempt()
            old.say(**REPLACED)
            old.end()
            await asyncio.sleep(1)
            if succeeds:
                new = attempt.accept()
            else:
                attempt.refuse()
                new = await here.server.accept()
            await answer(new, 4, CHAIN[3])
            got = await consumer.has(1)

        assert got == ["all-4"]
        assert here.goodbyes == []

    run(replaced())


@pytest.mark.parametrize("reason", ["replaced", "kicked"])
def test_a_replacement_whose_answer_was_lost_is_no_reason_to_leave(reason: str) -> None:
    """The server accepted it, and closes the old connection for it after the client gave it up."""

    async def said_late() -> None:
        async with world(position={"all": 3}, renewal_seconds=(8, 8)) as (here, consumer):
            old = await here.live(3)
            await here.server.attempt()
            await here.reached("renewing")
            await here.reached("live")
            old.say(**REPLACED | {"reason": reason})
            if reason == "kicked":
                await consumer.end()
            else:
                await answer(await here.server.accept(), 4, CHAIN[3])
                await consumer.has(1)

        assert (consumer.got, [goodbye.reason for goodbye in here.goodbyes]) == (
            ([], ["kicked"]) if reason == "kicked" else (["all-4"], [])
        )

    run(said_late())


@scenario
async def test_a_replacement_that_failed_before_a_renewal_excuses_nothing() -> None:
    """Only the connection that was to be replaced is left for it."""
    async with world(renewal_seconds=(8, 8)) as (here, consumer):
        await here.live()
        (await here.server.attempt()).refuse()
        new = await here.live()
        await here.reached("live")
        new.say(**REPLACED)
        await consumer.end()

    assert [goodbye.reason for goodbye in here.goodbyes] == ["replaced"]
    assert len(here.server.attempts) == 3


@scenario
async def test_two_tabs_never_fight() -> None:
    """The one that is replaced stays away."""
    async with world() as (here, consumer):
        peer = await here.live()
        await here.reached("live")
        peer.say(**REPLACED)
        got = await consumer.end()

    assert got == []
    assert [goodbye.reason for goodbye in here.goodbyes] == ["replaced"]
    assert here.client.state == "closed"
    assert len(here.server.attempts) == 1


@scenario
async def test_being_kicked_ends_a_client_that_replaces_its_connection() -> None:
    async with world(renewal_seconds=(8, 8)) as (here, consumer):
        old = await here.live()
        new = await here.server.accept()
        old.say(**REPLACED | {"reason": "kicked"})
        await answer(new, 0)
        await consumer.end()

    assert new.closed == "close"
    assert [goodbye.reason for goodbye in here.goodbyes] == ["kicked"]


@pytest.mark.parametrize("reason", ["kicked", "replaced"])
def test_a_goodbye_to_the_new_connection_is_final(reason: str) -> None:
    async def said() -> None:
        async with world(renewal_seconds=(8, 8)) as (here, consumer):
            old = await here.live()
            new = await here.server.accept()
            new.say(**REPLACED | {"reason": reason})
            await consumer.end()

        assert old.closed == "close"
        assert len(here.server.attempts) == 2

    run(said())


# Goodbye


@scenario
async def test_a_goodbye_with_a_return_is_obeyed() -> None:
    """The client closes the connection itself: the server may leave that to the sweep."""
    async with world() as (here, _):
        peer = await here.live()
        await peer.heard("ping")
        peer.say(type="pong", at=1, n=2)
        await asyncio.sleep(31)
        peer.say(type="goodbye", reason="kicked", message="moving", reconnect=True, afterSeconds=90)
        said_at = now()
        await here.reached("waiting")
        here.clock_skew += 3600  # waking up does not shorten what the server asks for
        await here.live()

    assert here.goodbyes == [Goodbye("kicked", "moving", reconnect=True, after_seconds=90)]
    assert peer.closed == "close"
    assert 90 <= here.server.attempts[1].at - said_at <= 95.1


@scenario
async def test_what_came_before_the_last_goodbye_is_given() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.live(3)
        for entry in CHAIN[3:6]:
            peer.say(**entry)
        peer.say(**REPLACED | {"reason": "kicked"})

        assert await consumer.end() == ["all-4", "all-5", "all-6"]


# Rule 7: tokens expire


async def authenticates(life_s: float, outcome: dict[str, Any] | None) -> tuple[World, float]:
    """Return a world in which the client has asked for a new token, and when it did."""
    made = World(token=lambda: token(life_s), renewal_seconds=(1e6, 1e6))

    async def token(seconds: float) -> str:
        return token_until(now() + seconds)

    async with made.client:
        peer = await made.live()
        request = await peer.heard_next("authenticate")
        asked_at = now()
        assert request["token"] == token_until(now() + life_s)
        if outcome is not None:
            peer.say(**outcome)
        if outcome is None or outcome["type"] == "error":
            await made.live()
            await made.reached("live")
            assert peer.closed == "close"
        else:
            await peer.heard_next("authenticate")
    return made, asked_at


@pytest.mark.parametrize(
    ("life_s", "asked_after_s"), [(3600, 3540), (300, 240), (100, 80), (20, 16)]
)
def test_a_token_is_renewed_in_place_before_it_expires(life_s: float, asked_after_s: float) -> None:
    outcome = {"type": "authenticated", "expiresAt": 2 * life_s}
    here, asked_at = run(authenticates(life_s, outcome))

    assert asked_at == pytest.approx(asked_after_s, abs=0.1)
    assert len(here.server.attempts) == 1


@pytest.mark.parametrize(
    "outcome",
    [
        {"type": "error", "code": "other_client", "message": "no"},
        {"type": "error", "message": "unknown message"},
        None,
    ],
)
def test_a_refused_renewal_takes_a_fresh_connection(outcome: dict[str, Any] | None) -> None:
    here, _ = run(authenticates(100, outcome))

    assert len(here.server.attempts) == 2


@scenario
async def test_a_token_that_stays_the_same_is_not_sent_for_ever() -> None:
    """The server ends the connection once the token has expired."""

    async def token() -> str:
        return token_until(100)

    made = World(token=token, renewal_seconds=(1e6, 1e6))
    times = []
    async with made.client:
        peer = await made.live()
        for _ in range(2):
            await peer.heard_next("authenticate")
            times.append(round(now()))
            peer.say(type="authenticated", expiresAt=100)
        request = await peer.request()

    assert times == [80, 96]
    assert request["action"] == "ping"


# Rule 8: what is finished


@scenario
async def test_the_position_is_what_the_consumer_has_finished() -> None:
    """A page's closing position counts only after its last item."""
    made = World(position={"all": 3})
    positions = []
    async with made.client as client:
        peer = await made.server.accept()
        await answer(peer, 7, *CHAIN[3:5])
        async for item in client:
            positions.append(client.position)
            if isinstance(item, Gap):
                break

    assert positions == [{"all": 3}, {"all": 4}, {"all": 5}]
    assert made.client.position == {"all": 5}


@scenario
async def test_an_error_in_the_loop_leaves_the_item_unfinished() -> None:
    made = World(position={"all": 3})

    async def consume() -> None:
        async with made.client as client:
            await answer(await made.server.accept(), 4, CHAIN[3])
            async for item in client:
                raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        await consume()

    assert made.client.position == {"all": 3}
    assert made.client.state == "closed"


@scenario
async def test_a_listener_that_fails_does_not_stop_the_client() -> None:
    made = World()

    def fail(_: object) -> None:
        raise ZeroDivisionError

    made.client.on_state = fail
    async with made.client:
        await made.live()
        await made.reached("live")


# Rule 10: receipts


@scenario
async def test_a_receipt_is_sent_once_the_item_is_finished() -> None:
    """And again on the next connection, if the server did not answer it."""
    asked = notification("own", 1, 0) | {"receipt": True}
    async with world() as (here, consumer):
        peer = await here.live(client="ada")
        await here.reached("live")
        peer.say(**asked)
        await consumer.has(1)
        first = await peer.heard("received")
        peer.end()
        peer = await here.live(client="ada")
        second = await peer.heard("received")
        peer.say(type="pong", at=1, n=second["n"])
        request = await peer.heard("ping")

    assert first["seq"] == second["seq"] == 1
    assert request["heads"]


@pytest.mark.parametrize(
    "failure",
    [
        {"type": "error", "code": "try_again", "message": "busy", "n": 1},
        {"type": "error", "code": "try_again", "message": "busy"},
        {"message": "Too Many Requests", "connectionId": "a", "requestId": "b"},
        None,
    ],
)
def test_a_receipt_that_the_server_cannot_take_now_is_sent_again(
    failure: dict[str, Any] | None,
) -> None:
    """Ever more rarely, and on the next connection."""

    async def fails() -> None:
        tries = 0
        async with world() as (here, _):
            peer = await here.live(client="ada")
            peer.say(**notification("own", 1, 0) | {"receipt": True})
            while now() < 900:
                request = await peer.request()
                if request["action"] == "ping":
                    peer.say(type="pong", at=1, n=request["n"])
                    continue
                tries += 1
                if failure is not None:
                    peer.say(**failure | ({"n": request["n"]} if "n" in failure else {}))
            peer.end()
            peer = await here.live(client="ada")
            request = await peer.heard("received")
            peer.say(type="pong", at=1, n=request["n"])
            await peer.heard("ping")

        assert request["seq"] == 1
        assert 10 < tries < 60
        assert len(here.server.attempts) == 2

    run(fails())


@scenario
async def test_a_refused_receipt_is_given_up_and_one_that_has_to_wait_lets_others_by() -> None:
    heard = []
    async with world() as (here, _):
        peer = await here.live(client="ada")
        for seq in (1, 2, 3):
            peer.say(**notification("own", seq, seq - 1) | {"receipt": True})
        for code in ("bad_request", "try_again", "bad_request", "bad_request"):
            request = await peer.heard("received")
            heard.append(request["seq"])
            peer.say(type="error", code=code, message="no", n=request["n"])
        await peer.heard("ping")

    assert heard == [1, 2, 3, 2]


@scenario
async def test_of_a_thousand_receipts_the_oldest_are_given_up() -> None:
    """The memory stays bounded if the server never answers. The first is on its way already."""
    async with world() as (here, consumer):
        peer = await here.live(client="ada")
        for seq in range(1, 1003):
            peer.say(**notification("own", seq, seq - 1) | {"receipt": True})
            await consumer.has(seq)
        first = await peer.heard("received")
        peer.say(type="pong", at=1, n=first["n"])
        second = await peer.heard("received")

    assert (first["seq"], second["seq"]) == (1, 3)


@scenario
async def test_no_receipt_is_sent_as_another_client() -> None:
    """Its numbers are those of another stream."""
    async with world() as (here, _):
        peer = await here.live(client="ada")
        peer.say(**notification("own", 1, 0) | {"receipt": True})
        await peer.heard("received")
        peer.end()
        peer = await here.live(client="bob")
        await peer.heard("ping")


@scenario
async def test_no_receipt_is_sent_as_another_client_for_what_waited_for_the_consumer() -> None:
    """The other client may have a notification with the same number, which nobody has seen."""
    made = World()
    async with made.client as client:
        peer = await made.live(client="ada")
        for seq in (1, 2):
            peer.say(**notification("own", seq, seq - 1) | {"receipt": True})
        await made.reached("live")
        peer.end()
        peer = await made.live(client="bob")
        await made.reached("recovering")
        await made.reached("live")
        for _ in range(2):
            await anext(client)
        await peer.heard("ping")


@scenario
async def test_a_receipt_does_not_wait_until_the_consumer_has_caught_up() -> None:
    """Its sender waits for seconds, a long backlog can take hours."""
    asked = notification("own", 1, 0) | {"receipt": True}
    made = World(position={"all": 0})
    async with made.client as client:
        peer = await made.server.accept()
        request = await peer.heard("recover")
        position = {"own": {"seq": 1, "of": "ada"}, "all": 1100}
        page = recovered([asked, *CHAIN[:1100]], position, more=True)
        peer.say(**page | {"n": request["n"]})
        for _ in range(2):
            await anext(client)
        received = await peer.heard("received")

    assert received["seq"] == 1
    assert client.position["all"] == 0


UNRECORDED = ("type", "id", "sentAt", "subject", "message", "receipt")


@scenario
async def test_what_was_posted_before_it_was_recorded_is_acknowledged_by_its_number() -> None:
    """It is shown at once, and its repeat is not shown, but somebody waits for its receipt."""
    asked = notification("own", 1, 0) | {"receipt": True}
    async with world() as (here, consumer):
        peer = await here.live(client="ada")
        peer.say(**{key: asked[key] for key in UNRECORDED})
        peer.say(**asked)
        request = await peer.heard("received")
        peer.say(type="pong", at=1, n=request["n"])
        await peer.heard("ping")

    assert request["seq"] == 1
    assert consumer.got == ["own-1"]


@scenario
async def test_without_order_a_receipt_is_sent_once() -> None:
    async with world(order=False) as (here, _):
        peer = await here.live(client="ada")
        for seq in (2, 1):
            peer.say(**notification("own", seq, seq - 1) | {"receipt": True})
            request = await peer.heard("received")
            peer.say(type="pong", at=1, n=request["n"])
        await peer.heard("ping")

    assert here.client.position["own"]["seq"] == 2


@scenario
async def test_an_unfinished_item_has_no_receipt() -> None:
    made = World()
    async with made.client as client:
        peer = await made.live(client="ada")
        peer.say(**notification("own", 1, 0) | {"receipt": True})
        async for _ in client:
            await peer.heard("ping")
            assert peer.nothing_heard()
            break


# Others


@scenario
async def test_messages_that_make_no_sense_are_reported() -> None:
    async with world(position={"all": 3}) as (here, consumer):
        peer = await here.live(3)
        for text in ("{", "[]", '{"type": "notification"}', '{"type": "from the future"}'):
            peer.say_text(text)
        peer.say(type="pong", n=[1])
        peer.say(**recovered([], {"all": 3}, more=False) | {"clientId": []})
        peer.say(**CHAIN[3])
        await consumer.has(1)

    assert len(here.errors) == 5
    assert all(isinstance(error, ValueError) for error in here.errors)


@scenario
async def test_a_fault_of_the_client_itself_is_raised_in_the_loop() -> None:
    """It must not look like the end of the notifications."""
    async with world(random=None) as (here, consumer):
        (await here.server.attempt()).refuse()
        with pytest.raises(ExceptionGroup) as raised:
            await consumer.end()

    assert isinstance(raised.value.exceptions[0], AttributeError)
    assert here.client.state == "closed"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"address": "https://example"}, "the address is 'https://example'; expected wss://"),
        ({"last": 51}, "last is 51; expected an integer from 0 to 50"),
        ({"last": 2.5}, "last is 2.5; expected an integer from 0 to 50"),
        ({"position": {"all": -1}}, r"the position is {'all': -1}; expected {\"all\": n"),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected.replace("{'", r"\{'").replace('{"', r'\{"')):
        IncidentClient(**{"address": "wss://example", **arguments})
