"""The script and the page that show notifications."""

import asyncio
import contextlib
import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.server import ServerConnection, serve

from examples import notifications
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


def test_the_script_pings_and_connects_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a lost connection, an unanswered ping and a refusal; a close with 1000 ends it."""
    monkeypatch.setattr(notifications, "PING_EVERY", 0.05)
    monkeypatch.setattr(notifications, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(notifications, "ANSWER_WITHIN", 0.5)
    lives = iter(["lost", "silent", "closed"])
    pings: dict[str, int] = {}

    async def server(socket: ServerConnection) -> None:
        life = next(lives)
        envelope = {"type": "notification", "id": "1", "subject": None, "message": life}
        async for text in socket:
            assert text == '{"action": "ping"}'
            pings[life] = pings.get(life, 0) + 1
            if life == "silent":
                continue
            await socket.send(json.dumps({"type": "pong", "at": 1}))
            await socket.send(json.dumps(envelope))
            if pings[life] == 3:
                if life == "lost":
                    socket.transport.abort()
                else:
                    await socket.close(1000)

    async def run() -> str:
        async with serve(server, "127.0.0.1", 0) as running:
            port = running.sockets[0].getsockname()[1]
            async with asyncio.timeout(PATIENCE_S):
                return await notifications.main(f"ws://127.0.0.1:{port}")

    ended = asyncio.run(run())

    assert ended == "closed by the server"
    assert pings == {"lost": 3, "silent": 1, "closed": 3}
    said = capsys.readouterr().out.splitlines()
    assert said == ["connected", ' "lost"', "connection lost", "not connected: ", "connected"]


def test_the_script_stops_when_it_is_refused() -> None:
    """With a status that another attempt would not change."""

    async def run() -> str:
        def refuse(socket: ServerConnection, _: object) -> Any:
            return socket.respond(401, "")

        async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as it:
            return await notifications.main(f"ws://127.0.0.1:{it.sockets[0].getsockname()[1]}")

    assert asyncio.run(run()) == "refused with 401"


@pytest.mark.proof
def test_script_and_page_follow_a_gateway_that_is_restarted(tmp_path: Path) -> None:
    """Both show what is published before and after, and end when the server closes them."""
    with contextlib.ExitStack() as clients:
        with serving(tmp_path / "first") as gateway:
            shown = [
                clients.enter_context(of_the_script(f"{gateway.url}?clientId=ada")),
                clients.enter_context(of_the_page(f"{gateway.url}?clientId=ada", tmp_path)),
            ]
            for each in shown:
                wait_for(each, "^connected")
            publish(gateway, "before")
            for each in shown:
                wait_for(each, "before")
            port = gateway.lambda_endpoint.rpartition(":")[2]
        for each in shown:
            wait_for(each, "connection lost")
        with serving(tmp_path / "second", f"--port={port}") as gateway:
            for each in shown:
                wait_for(each, "^connected")
            publish(gateway, "after")
            for each in shown:
                wait_for(each, "after")
            gateway.client("lambda", gateway.lambda_endpoint).invoke(
                FunctionName="incident-websocket-dev-close",
                Payload=json.dumps({"clientId": "ada"}),
            )
            for each in shown:
                wait_for(each, "closed by the server")


@contextlib.contextmanager
def of_the_script(url: str) -> Iterator[Lines]:
    """Run the script within the block; yield the lines that it prints."""
    lines: Lines = queue.SimpleQueue()
    with subprocess.Popen(
        [sys.executable, "examples/notifications.py", url],
        cwd=ROOT,
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
        page(PAGE + REPORT) as (address, reports),
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
    """Publish a notification for ada."""
    topic = run_file.find(int(gateway.lambda_endpoint.rpartition(":")[2])).topics[0]
    attribute = {"DataType": "String", "StringValue": "ada"}
    gateway.client("sns").publish(
        TopicArn=topic, Message=message, MessageAttributes={"clientId": attribute}
    )
