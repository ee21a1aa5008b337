"""The JavaScript client, in Node and in Chromium."""

import functools
import http.server
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import FOLDER, node, require

PATIENCE_S = 120


@pytest.mark.parametrize("script", ["test", "types"])
def test_a_script_of_the_package_passes(script: str) -> None:
    """`test` runs the tests in Node, `types` compiles the declarations."""
    node()
    command = [require("npm", how="install npm"), "run", script]
    result = subprocess.run(
        command, cwd=FOLDER, capture_output=True, check=False, text=True, timeout=PATIENCE_S
    )

    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-5_000:]


class Page(http.server.SimpleHTTPRequestHandler):
    """Serves the client's folder, and takes the page's report."""

    reports: "queue.Queue[Any]"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.reports.put(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[tuple[str, "queue.Queue[Any]"]]:
    """Serve the client's folder on loopback."""
    reports: queue.Queue[Any] = queue.Queue()
    handler = type("Handler", (Page,), {"reports": reports})
    serve = functools.partial(handler, directory=str(FOLDER))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", reports
        server.shutdown()
        thread.join()


def test_the_rules_hold_in_chromium(tmp_path: Path) -> None:
    """The same tests as in Node, and what only a browser has: events, sessionStorage, reloads."""
    chromium = require("chromium", "google-chrome", how="apt install chromium")
    with served() as (url, reports), (tmp_path / "log").open("wb") as log:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu"]
        command += [f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"]
        browser = subprocess.Popen([*command, f"{url}/test/page.html"], stdout=log, stderr=log)
        try:
            report = reports.get(timeout=PATIENCE_S)
        finally:
            browser.kill()
            browser.wait()

    assert report["failures"] == {}
    assert report["passed"] > 60
