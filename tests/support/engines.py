"""The DynamoDB that the tests run against: `ENGINE=ministack` or `dynalite`, by default moto.

moto is in the process of the test. Each other one is a process of its own on a port of the loopback
interface. docs/decisions.md has the differences.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from mypy_boto3_dynamodb import DynamoDBClient

from tests.support import ministack

ENGINES = ("moto", "ministack", "dynalite")
SOURCES = Path(__file__).with_name("dynalite")
BUILD = Path(__file__).resolve().parents[2] / "build"
INSTALL_S, START_S, STOP_S = 300, 60, 30


def chosen() -> str:
    """Return the name of the engine in the variable `ENGINE`, by default moto."""
    name = os.environ.get("ENGINE") or ENGINES[0]
    if name not in ENGINES:
        raise ValueError(f"ENGINE is {name!r}; expected one of {', '.join(ENGINES)}")
    return name


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str | None]:
    """Run the chosen engine with its files in `folder`. Yield its address; moto has none."""
    engine = chosen()
    if engine == "ministack":
        with ministack.running(folder, services="dynamodb") as server:
            yield server.endpoint
    elif engine == "dynalite":
        with _dynalite() as address:
            yield address
    else:
        yield None


@contextlib.contextmanager
def _dynalite() -> Iterator[str]:
    """Run dynalite, which keeps everything in memory and changes tables at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at_once = ["--createTableMs=0", "--deleteTableMs=0", "--updateTableMs=0"]
    command = ["node", str(_installed() / "node_modules" / "dynalite" / "cli.js")]
    with subprocess.Popen(
        [*command, f"--port={port}", *at_once],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            _wait_until_ready(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_S)


def _installed() -> Path:
    """Return the folder in which npm has installed dynalite, as its lock file pins it."""
    folder = BUILD / "dynalite"
    folder.mkdir(parents=True, exist_ok=True)
    with (BUILD / "dynalite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "node_modules").is_dir():
            for source in SOURCES.iterdir():
                shutil.copy(source, folder)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_S)
    return folder


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.1)  # only a repeated look shows that another process listens
    raise RuntimeError(f"dynalite did not start: exit status {process.poll()}")


def empty(client: DynamoDBClient) -> None:
    """Delete every table, so that the next test finds an engine as new as moto's."""
    for table in client.list_tables()["TableNames"]:
        client.delete_table(TableName=table)
        client.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
