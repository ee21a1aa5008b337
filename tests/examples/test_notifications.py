"""The script and the page that show notifications."""

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from localgateway import run_file
from tests.conftest import ROOT
from tests.support.browser import chromium, page
from tests.support.gateway import PATIENCE_S, Gateway, serving

Lines = queue.SimpleQueue[str]
PAGE = (ROOT / "examples" / "notifications.html").read_text(encoding="utf-8")
# Posts each change of the status and of the list to the server of the page.
REPORT = """<script>
const report = () => fetch("/", {method: "POST", body:
  document.querySelector("[role=status]").textContent + "|" +
  [...document.querySelectorAll("li")].map(item => item.textContent).join("|")});
new MutationObserver(report).observe(document.body, {subtree: true, childList: true});
</script>"""


@pytest.mark.proof
def test_script_and_page_show_what_is_published_while_they_are_cut_off(tmp_path: Path) -> None:
    """The client libraries come back, and recover it."""
    with serving(tmp_path / "project") as gateway, contextlib.ExitStack() as clients:
        shown = [
            clients.enter_context(of_the_script(gateway.url)),
            clients.enter_context(of_the_page(gateway.url, tmp_path)),
        ]
        for each in shown:
            wait_for(each, "^live")
        publish(gateway, "before")
        for each in shown:
            wait_for(each, "before")

        for connection_id in gateway.rows():
            gateway.connections_api().delete_connection(ConnectionId=connection_id)
        publish(gateway, "after")

        for each in shown:
            wait_for(each, "after")


@contextlib.contextmanager
def of_the_script(url: str) -> Iterator[Lines]:
    """Run the script within the block; yield the lines that it prints."""
    lines: Lines = queue.SimpleQueue()
    with subprocess.Popen(
        [sys.executable, "examples/notifications.py", url],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "clients/python"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def listen() -> None:
            for line in process.stdout or ():
                lines.put(line)

        threading.Thread(target=listen, daemon=True).start()
        try:
            yield lines
        finally:
            process.kill()


@contextlib.contextmanager
def of_the_page(url: str, folder: Path) -> Iterator[Lines]:
    """Show the page within the block; yield its status and list at each change."""
    with (
        page(PAGE + REPORT, ROOT) as (address, reports),
        chromium(folder, f"{address}?address={quote(url, safe='')}"),
    ):
        yield reports


def wait_for(shown: Lines, text: str) -> None:
    """Wait until something that matches is shown."""
    seen: list[str] = []
    while not seen or not re.search(text, seen[-1]):
        try:
            seen.append(shown.get(timeout=PATIENCE_S))
        except queue.Empty:
            pytest.fail(f"{text!r} is not in {seen}")


def publish(gateway: Gateway, message: str) -> None:
    """Publish a notification for everybody."""
    topic = run_file.find(int(gateway.lambda_endpoint.rpartition(":")[2])).topics[0]
    gateway.client("sns").publish(TopicArn=topic, Message=message)
