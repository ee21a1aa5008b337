"""Pages in Chromium."""

import contextlib
import http.server
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def page(html: str) -> Iterator[tuple[str, queue.SimpleQueue[str]]]:
    """Serve a page on a port of its own; yield its URL and what it posts back."""
    reports: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def do_POST(self) -> None:
            reports.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", reports
        finally:
            server.shutdown()


@contextlib.contextmanager
def chromium(folder: Path, url: str, *options: str) -> Iterator[None]:
    """Show a page in Chromium within the block, with a profile in `folder`; skip without it."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        assert "CI" not in os.environ, "chromium is missing: apt install chromium"
        pytest.skip("chromium is missing: apt install chromium")
    command = [binary, "--headless", "--no-sandbox", "--disable-gpu", *options]
    command += [f"--user-data-dir={folder}", "--remote-debugging-port=0", url]
    with (folder / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        browser.kill()
        browser.wait()
