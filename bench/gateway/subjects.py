"""The subjects of the bench and the engine that they write to."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.processes import POLL_INTERVAL, START_TIMEOUT, Server, free_port, running
from bench.gateway.table import CREDENTIALS, NAME, REGION
from localgateway import run_file
from localgateway.errors import GatewayError

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / "build" / "bench-gateway"
BASELINE_FILES = ("package.json", "serverless.yml", "handler.py")
QUIET_SERVERLESS = {
    "CI": "1",
    "SLS_INTERACTIVE_SETUP_ENABLE": "0",
    "SLS_NOTIFICATIONS_MODE": "off",
    "SLS_TELEMETRY_DISABLED": "1",
}


@dataclass(frozen=True)
class Subject:
    """A running gateway and its URL for clients."""

    server: Server
    url: str

    @property
    def port(self) -> int:
        """Return the port that clients connect to."""
        return int(self.url.rpartition(":")[2].partition("/")[0])


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **CREDENTIALS, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, **variables}


@contextlib.contextmanager
def engine() -> Iterator[tuple[Server, str]]:
    """Run the embedded engine alone, for both subjects, and yield it and its address."""
    CACHE.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "localgateway.aws.engine", "--port", str(port)]
    with running("engine", command, port, CACHE / "engine.log", PROJECT, _environment()) as server:
        yield server, f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def gateway(*options: str, module: str = "localgateway") -> Iterator[Subject]:
    """Run this gateway, or a module that starts it, with this project's app."""
    port = free_port()
    command = [sys.executable, "-m", module, "--port", str(port), *options]
    log = CACHE / "gateway.log"
    with running("gateway", command, port, log, PROJECT, _environment()) as server:
        yield Subject(server, f"ws://127.0.0.1:{port}/dev")


def credentials(port: int) -> dict[str, str]:
    """Wait until the gateway on this port serves, and return its run's own credentials."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return dict(run_file.find(port).variables)
        except GatewayError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_INTERVAL)


@contextlib.contextmanager
def baseline(endpoint: str) -> Iterator[Subject]:
    """Run serverless-offline with its two plain functions on the same table and Python."""
    websocket, http, invoke = free_port(), free_port(), free_port()
    command = ["node", "node_modules/.bin/serverless", "offline", "start", "--noSponsor"]
    command += ["--host", "127.0.0.1", "--websocketPort", str(websocket)]
    command += ["--httpPort", str(http), "--lambdaPort", str(invoke)]
    env = _environment(
        AWS_ENDPOINT_URL_DYNAMODB=endpoint,
        CONNECTIONS_TABLE=NAME,
        VIRTUAL_ENV=sys.prefix,
        **QUIET_SERVERLESS,
    )
    env["HOME"] = str(CACHE)  # serverless writes its own settings there
    log = CACHE / "baseline.log"
    with running("baseline", command, websocket, log, CACHE, env) as server:
        yield Subject(server, f"ws://127.0.0.1:{websocket}/dev")


def install_baseline() -> None:
    """Copy the baseline's files to the cache and install its packages with npm."""
    CACHE.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parent / "baseline"
    for name in BASELINE_FILES:
        shutil.copyfile(source / name, CACHE / name)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=CACHE, check=True)
