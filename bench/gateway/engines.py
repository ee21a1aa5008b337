"""Compare the embedded engine with ministack: `python -m bench.gateway.engines`.

A cycle is a put, a get and a delete through one boto3 client for each thread.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.gateway import subjects, table
from bench.gateway.processes import Server, free_port, running

CYCLES = 300
ROUNDS = 5
MINISTACK = subjects.PROJECT / "build" / "ministack" / "bin" / "python"
START = "import sys; sys.argv = ['ministack']; import ministack.app; ministack.app.main()"


@contextlib.contextmanager
def ministack() -> Iterator[tuple[Server, str]]:
    """Run ministack from its own environment, with DynamoDB only, and yield it and its address."""
    port = free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "SERVICES": "dynamodb",
    }
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"HOME": folder, "TMPDIR": folder}
        log = Path(folder, "ministack.log")
        command = [str(MINISTACK), "-c", START]
        with running("ministack", command, port, log, Path(folder), environment) as server:
            yield server, f"http://127.0.0.1:{port}"


def cycles(endpoint: str, worker: int, number: int) -> None:
    """Put, get and delete one row after the other."""
    calls = table.connect(endpoint).client
    for count in range(number):
        key = {"connectionId": {"S": f"{worker}-{count}"}}
        calls.put_item(TableName=table.NAME, Item=key | {"createdAt": {"N": "1"}})
        calls.get_item(TableName=table.NAME, Key=key, ConsistentRead=True)
        calls.delete_item(TableName=table.NAME, Key=key)


def measure(name: str, server: Server, endpoint: str, started: float) -> None:
    """Print one engine's figures."""
    table.connect(endpoint).client.create_table(
        TableName=table.NAME,
        KeySchema=[{"AttributeName": "connectionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "connectionId", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    ready = time.perf_counter() - started
    for workers in (1, 8):
        rates, used = [], []
        for _ in range(ROUNDS):
            before, began = sum(server.cpu().values()), time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                each = CYCLES // workers
                list(pool.map(lambda worker, n=each: cycles(endpoint, worker, n), range(workers)))
            done = workers * each
            rates.append(done / (time.perf_counter() - began))
            used.append(1000 * (sum(server.cpu().values()) - before) / done)
        print(
            f"{name}, {workers} at once: {statistics.median(rates):.0f} cycles/s, "
            f"{statistics.median(used):.2f} ms CPU a cycle (load {os.getloadavg()[0]:.1f})"
        )
    print(f"{name}: first table after {ready:.1f} s, {server.memory() / 1e6:.0f} MB")


def main() -> None:
    """Measure both engines, one after the other."""
    for name, start in (("moto", subjects.engine), ("ministack", ministack)):
        if start is ministack and not MINISTACK.exists():
            sys.exit(f"{MINISTACK} is missing; `make proof` installs it")
        started = time.perf_counter()
        with start() as (server, endpoint):
            measure(name, server, endpoint, started)


if __name__ == "__main__":
    main()
