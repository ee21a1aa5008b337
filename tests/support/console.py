"""The console's page in Chromium, driven by Playwright."""

import contextlib
import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.conftest import ROOT
from tests.support.gateway import Gateway
from tests.support.node import require

# A name that a page of somebody else may make point to this machine.
REBOUND = "rebound.example"
FLAGS = [
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
]
PATIENCE_MS = 30_000
VIEWS = ("truth", "timeline", "deliveries", "metrics", "try")
AXE = ROOT / "tests" / "localgateway" / "console" / "axe"
BUILD = ROOT / "build"
INSTALL_S = 300


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium within the block; skip the test without it, or fail it in CI."""
    binary = require("chromium", "google-chrome", how="apt install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Console:
    """The console of a gateway in a page of its own; `problems` are errors of the page."""

    def __init__(self, page: Page, gateway: Gateway) -> None:
        self.page = page
        self.gateway = gateway
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._said)
        page.goto(self.address)
        page.locator(".truth").wait_for()

    @property
    def address(self) -> str:
        """Return the printed address."""
        return self.gateway.found(r"(http://\S+/@console/#\S+)")

    @property
    def number(self) -> Locator:
        """Return the number of disagreements."""
        return self.page.locator(".count .number")

    def show(self, view: str) -> None:
        """Show a view by its link."""
        self.page.locator(f'nav a[data-view="{view}"]').click()
        self.page.locator(f'main[data-view="{view}"]').wait_for()

    def open_clients(self, count: int, client_id: str, **fields: str) -> None:
        """Open trial clients by the form."""
        self.show("try")
        self.page.get_by_label("How many").fill(str(count))
        self.page.get_by_label("Client id").fill(client_id)
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " ")).first.fill(value)
        self.page.locator("#open").click()
        self.said(f"Opened {count}")

    def close_clients(self) -> None:
        """Close all trial clients, also those that the page does not show yet."""
        base, _, token = self.address.partition("#")
        answer = self.page.request.post(
            f"{base}api/actions/close",
            data={"client": None},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.ok, answer.text()

    def said(self, text: str) -> None:
        """Wait until the page says that something was done."""
        expect(self.page.locator(".toast")).to_contain_text(text)

    def lists(self, text: str) -> None:
        """Wait until a connection with this text is listed."""
        expect(self.page.locator(".pair:visible", has_text=text).first).to_be_visible()

    def fault(self, name: str, value: str) -> None:
        """Turn a fault up or down."""
        self.show("try")
        slider = self.page.locator(f"#fault-{name}")
        slider.evaluate(
            "(each, value) => { each.value = value; each.dispatchEvent(new Event('change')); }",
            value,
        )
        expect(slider).to_have_attribute("aria-valuetext", f"{float(value):.0%}".replace("%", " %"))

    def violations(self) -> list[str]:
        """Return what axe finds serious or critical in the page as it is."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(axe_source())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def _said(self, message: Any) -> None:
        # The gateway answers 404 for an event that is not kept, and 409 for an action that fails.
        if message.type == "error" and "status of 4" not in message.text:
            self.problems.append(message.text)


@contextlib.contextmanager
def opened(browser: Browser, gateway: Gateway, **options: Any) -> Iterator[Console]:
    """Open the console within the block, in English unless told; it must not raise errors."""
    context = browser.new_context(**{"locale": "en-US", **options})
    try:
        console = Console(context.new_page(), gateway)
        yield console
        assert console.problems == []
    finally:
        context.close()


def axe_source() -> str:
    """Return axe-core's script, installed by npm when it is missing."""
    folder = BUILD / "axe"
    folder.mkdir(parents=True, exist_ok=True)
    npm = require("npm", how="install npm")
    with (BUILD / "axe.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.copy(AXE / "package.json", folder)
        found = folder / "node_modules" / "axe-core"
        if not found.is_dir() or version(found) != version(AXE):
            command = [npm, "install", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_S)
    return Path(found / "axe.min.js").read_text(encoding="utf-8")


def version(folder: Path) -> str:
    """Return the version of axe-core that a folder has, or wants."""
    package = json.loads((folder / "package.json").read_text())
    found: str = package.get("dependencies", {}).get("axe-core") or package["version"]
    return found
