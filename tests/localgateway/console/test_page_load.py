"""The console's page with thousands of connections and many events a second."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from websockets.asyncio.client import ClientConnection, connect

from tests.support.console import VIEWS, chromium, opened
from tests.support.gateway import Gateway, serving

pytestmark = pytest.mark.proof

LONG_MS = 200
OPENING_AT_ONCE = 16
MANY_MS = 240_000
# An event into the function, its answer, and the reply; the client's own are not counted.
EVENTS_OF_A_MESSAGE = 3
MESSAGES_A_SECOND = 80
CHATS = 8
SECONDS_A_VIEW = 4
WATCH = """() => {
  window.long = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.long.push(Math.round(each.duration));
  }).observe({type: "longtask", buffered: false});
}"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with serving(tmp_path / "project", "--schedule-every=3600") as gateway:
        yield gateway


def test_a_thousand_connections(gateway: Gateway) -> None:
    """The page opens them; only what is visible is in the document; all end in agreement."""
    with chromium() as browser, opened(browser, gateway) as console:
        page = console.page
        console.show("try")
        page.get_by_label("How many").fill("1000")
        page.locator("#open").click()
        console.show("truth")
        sockets = page.locator(".figures dd").first
        expect(sockets).to_have_text("1,000", timeout=MANY_MS)
        match = page.locator('.chip[data-verdict="match"] b')
        expect(match).to_have_text("1,000", timeout=MANY_MS)

        expect(console.number).to_have_text("0")
        assert page.locator(".pair").count() < 60
        page.locator(".pair:visible button").first.focus()
        page.keyboard.press("End")
        last = page.locator('.pair[aria-rowindex="1000"]')
        expect(last).to_be_visible()
        expect(last.locator("button")).to_be_focused()


def test_no_task_is_long_with_2000_connections_and_200_events_a_second(gateway: Gateway) -> None:
    """In each view that changes while events come, scrolling included."""
    rate, long = asyncio.run(busy(gateway))

    assert rate >= 200, f"only {rate:.0f} events a second"
    assert max(long, default=0) <= LONG_MS, long


async def busy(gateway: Gateway) -> tuple[float, list[int]]:
    """Load the gateway and watch the page; return events a second and the long tasks in ms."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def client(number: int) -> ClientConnection:
        async with gate:
            return await connect(
                f"{gateway.url}?clientId=c{number}", ping_interval=None, open_timeout=120
            )

    clients = await asyncio.gather(*(client(number) for number in range(2000)))
    sent: list[float] = []
    sending = [asyncio.create_task(chat(clients[each::CHATS], sent)) for each in range(CHATS)]
    started, ended, long = await asyncio.to_thread(watch, gateway)
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    await asyncio.gather(*(each.close() for each in clients))
    messages = sum(started <= at <= ended for at in sent)
    return EVENTS_OF_A_MESSAGE * messages / (ended - started), long


async def chat(clients: list[ClientConnection], sent: list[float]) -> None:
    """Let clients send a message in turn, at this chat's part of the rate."""
    loop = asyncio.get_running_loop()
    moment = loop.time()
    for client in itertools.cycle(clients):
        await client.send('{"action": "ping"}')
        await client.recv()
        sent.append(time.monotonic())
        moment = max(moment + CHATS / MESSAGES_A_SECOND, loop.time() - 1)
        await asyncio.sleep(max(0.0, moment - loop.time()))


def watch(gateway: Gateway) -> tuple[float, float, list[int]]:
    """Look at each view for some seconds; return when it began and ended, and the long tasks."""
    with chromium() as browser, opened(browser, gateway) as console:
        page = console.page
        match = page.locator('.chip[data-verdict="match"] b')
        expect(match).to_have_text("2,000", timeout=MANY_MS)
        page.evaluate(WATCH)
        started = time.monotonic()
        for view in VIEWS:
            console.show(view)
            page.mouse.move(600, 700)
            for _ in range(SECONDS_A_VIEW):
                page.mouse.wheel(0, 400)
                page.wait_for_timeout(1000)
        ended = time.monotonic()
        long: Any = page.evaluate("window.long")
        return started, ended, long
