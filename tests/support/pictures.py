"""Takes the pictures of the console for the documents: `python -m tests.support.pictures`."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import expect
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.support.console import Console, chromium, opened
from tests.support.gateway import serving

NAMES = ("ada", "grace", "katherine", "barbara", "margaret", "radia", "hedy", "joan", "frances")
LOST = ("edsger", "donald")
SIZE = {"width": 1200, "height": 720}
SETTLE_MS = 3000  # for the toast to go


def main() -> None:
    """Write docs/console-*.png."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gateway = stack.enter_context(serving(folder / "project", "--schedule-every=3600"))
        browser = stack.enter_context(chromium())
        console = stack.enter_context(
            opened(browser, gateway, viewport=SIZE, timezone_id="Europe/London")
        )
        clients = [stack.enter_context(connect(f"{gateway.url}?clientId={each}")) for each in NAMES]
        for client in clients[:3]:
            client.send('{"action": "recover", "after": null}')
            client.recv(timeout=30)
        console.fault("drop_disconnects", "1")
        for name in LOST:
            with connect(f"{gateway.url}?clientId={name}"):
                pass
        publish(console, "Database down", '{"incident": 4711, "severity": "high"}')
        publish(console, "Database up again", '{"incident": 4711, "resolved": true}')
        console.show("truth")
        expect(console.number).to_have_text(str(len(LOST)))
        take(console, "connections")
        console.show("timeline")
        console.page.get_by_label("Kind").select_option(label="Invocations")
        console.page.locator(".item:visible", has_text="notify").first.locator("button").click()
        take(console, "timeline")
        console.page.emulate_media(color_scheme="dark")
        console.show("deliveries")
        take(console, "deliveries")


def publish(console: Console, subject: str, message: str) -> None:
    """Publish a notification by the form and wait until it is delivered."""
    console.show("try")
    console.page.get_by_label("Subject").fill(subject)
    console.page.get_by_label("Message", exact=True).fill(message)
    console.page.locator("#publish").click()
    console.show("deliveries")
    card = console.page.locator(".deliveries > li", has_text=subject)
    expect(card.locator("figure")).to_be_visible()


def take(console: Console, name: str) -> None:
    """Write a picture once the page is calm."""
    expect(console.page.locator(".toast")).to_have_attribute("data-shown", "false")
    console.page.wait_for_timeout(SETTLE_MS)
    console.page.screenshot(path=ROOT / "docs" / f"console-{name}.png")


if __name__ == "__main__":
    main()
