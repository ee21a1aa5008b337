"""ministack: an AWS on one port of the loopback interface, in a process and environment of its own.

It runs the functions from their zip, as processes of its Python, and serves WebSocket APIs.
https://github.com/ministackorg/ministack
"""

import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]

REGION = "eu-central-1"
REQUIREMENTS = ROOT / "requirements-ministack.txt"
ENVIRONMENT = ROOT / "build" / "ministack"
INSTALL_S, START_S, STOP_S = 300, 60, 30
# ministack reports every new or updated function as pending for 0.5 s. Chalice then waits for 5 s,
# 14 times a deployment, so the test's ministack reports them as active at once.
START = (
    "import sys, ministack.app; from ministack.services import lambda_svc; "
    "lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0; sys.argv = ['ministack']; ministack.app.main()"
)
SERVICES = "apigateway,cloudformation,cloudwatch,dynamodb,events,iam,lambda,logs,s3,sns,sqs,sts"

# The checks of `python -m accept` that ministack 1.5.33 cannot pass, and why. AWS can.
DIFFERENCES = {
    "refused-client": "answers 403, whatever status $connect returned",
    "message-limits": "has no limit of frames and messages",
    "connections-api": "@connections wants no signature",
    "policies": "simulates one resource a call",
    "who": "does not tell when a client was last active",
    "last-active": "does not tell when a client was last active",
}
MANAGEMENT = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"


@dataclass(frozen=True)
class Ministack:
    """A running ministack."""

    port: int

    @property
    def endpoint(self) -> str:
        """Return the address of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point a command at it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of it."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        make: Any = session.client  # the service is a variable: no type of its own
        return make(service, endpoint_url=self.endpoint)

    def stage(self, api_id: str, stage: str) -> str:
        """Return the address of a stage without its scheme."""
        return f"127.0.0.1:{self.port}/_aws/execute-api/{api_id}/{stage}"


def program(name: str) -> Path:
    """Return a program of ministack's environment, which is created when it is first needed."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "ministack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in parallel
        installed = ENVIRONMENT / "requirements.txt"
        if not (installed.exists() and installed.read_text() == REQUIREMENTS.read_text()):
            venv.create(ENVIRONMENT, clear=True, with_pip=True)
            install = ["-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)]
            subprocess.run(
                [ENVIRONMENT / "bin" / "python", *install], check=True, timeout=INSTALL_S
            )
            shutil.copy(REQUIREMENTS, installed)
    return ENVIRONMENT / "bin" / name


def use_here(project: Path, connections_api: str | None = None) -> None:
    """Configure a copy of the project for functions that run on this machine.

    `connections_api` is the address of a deployed stage: that of AWS would be at another host.
    """
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    config["lambda_architecture"] = "arm64" if platform.machine() == "aarch64" else "x86_64"
    if connections_api is not None:
        for stage in config["stages"].values():
            stage["environment_variables"][MANAGEMENT] = connections_api
    path.write_text(json.dumps(config))


@contextmanager
def running(folder: Path, services: str = SERVICES) -> Iterator[Ministack]:
    """Run a ministack that keeps its files in `folder`, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "SERVICES": services,
    }
    environment.pop("PYTHONPATH", None)
    log = folder / "ministack.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [program("python"), "-c", START],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_ready(port, process)
            yield Ministack(port)
        finally:
            sys.stdout.write(log.read_text()[-20_000:])
            os.killpg(process.pid, signal.SIGTERM)  # with the functions' processes
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)  # only a repeated look shows that another process listens
    raise RuntimeError(f"ministack did not start: exit status {process.poll()}")
