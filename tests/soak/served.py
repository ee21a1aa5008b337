"""The processes under soak: an engine that outlives the gateway, and a gateway that can be killed.

Everything logs into one file, which is read as it grows: lines that are appended to a file never
mix, and a gateway that is killed leaves its last lines there.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import boto3
import urllib3
from botocore.config import Config

from chalicelib.domain.sweep_position import SWEEP_ROW
from tests.conftest import ROOT, TABLE
from tests.soak.journal import Journal
from tests.soak.plan import DURATION_S, ENVIRONMENTS, IDLE_S
from tests.support.gateway import PATIENCE_S

KEY = "SOAK"
REGION = "us-east-1"
NEVER_S = 10**6
TTL_EVERY_S = 20
LOOK_S = 0.05
# The form of a signature; the engine checks the key only.
SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={KEY}/20261125/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + 64 * "0"
)


@dataclass(eq=False)
class Served:
    """A copy of the project behind a gateway, on a port that stays the same.

    `generations` are the starts of the gateway, epoch s; `failures` are the processes that ended
    by themselves or badly, in words.
    """

    project: Path
    journal: Journal
    log: Path
    port: int = field(default_factory=lambda: _free_port())
    generations: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    is_up: bool = False

    async def start_engine(self) -> None:
        """Start DynamoDB as a process of its own."""
        self._file: IO[bytes] = self.log.open("ab", buffering=0)
        self.engine = subprocess.Popen(
            [
                *(sys.executable, "-m", "localgateway.aws.engine", "--port=0"),
                f"--ttl-interval={TTL_EVERY_S}",
            ],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._file,
            start_new_session=True,
        )
        assert self.engine.stdout is not None
        line = await asyncio.to_thread(self.engine.stdout.readline)
        self.engine_url = f"http://127.0.0.1:{json.loads(line)['port']}"
        self.dynamodb = _client("dynamodb", self.engine_url, attempts=20)
        self.functions = _client("lambda", f"http://127.0.0.1:{self.port}", attempts=1)
        self._reading = asyncio.create_task(self._read())

    async def start_gateway(self, *options: str) -> None:
        """Start the gateway and wait until it serves."""
        self._ready = asyncio.Event()
        self.gateway = subprocess.Popen(
            [
                *(sys.executable, "-m", "localgateway", f"--project={self.project}", "--log=json"),
                *(f"--port={self.port}", f"--region={REGION}", "--dynamodb-port=0"),
                *(f"--dynamodb-endpoint={self.engine_url}", f"--environments={ENVIRONMENTS}"),
                *(f"--max-duration={DURATION_S}", f"--idle-timeout={IDLE_S}"),
                f"--schedule-every={NEVER_S}",
                *options,
            ],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=self._file,
            start_new_session=True,
        )
        async with asyncio.timeout(PATIENCE_S):
            await self._ready.wait()
        self.generations.append(time.time())
        self.is_up = True

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"ws://127.0.0.1:{self.port}/dev"

    async def stop_gateway(self, *, kill: bool) -> None:
        """Stop the gateway, or kill it, and wait until everything that it logged was read."""
        self.look_after()
        self.is_up = False
        self.gateway.send_signal(signal.SIGKILL if kill else signal.SIGINT)
        async with asyncio.timeout(PATIENCE_S):
            status = await asyncio.to_thread(self.gateway.wait)
        ended = time.time()
        await self.caught_up()
        if status != 0 and not kill:
            self.failures.append(f"the gateway stopped with status {status}")
        self.journal.stopped(ended, killed=kill)

    def look_after(self) -> None:
        """Note a process that has ended by itself."""
        for name, process in (("engine", self.engine), ("gateway", self.gateway)):
            status = process.poll()
            words = f"the {name} ended by itself with status {status}"
            if self.is_up and status is not None and words not in self.failures:
                self.failures.append(words)

    async def stop(self) -> None:
        """Stop everything that still runs."""
        if self.gateway.poll() is None:
            self.gateway.kill()
            self.gateway.wait()
        self.engine.kill()
        self.engine.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._file.close()

    async def caught_up(self) -> None:
        """Wait until the log is read as far as it is written now."""
        size = self.log.stat().st_size
        while self._read_bytes < size:
            assert not self._reading.done(), self._reading
            await asyncio.sleep(LOOK_S)

    def rows(self) -> dict[str, float]:
        """Return the ids of the connections in the table, with their `createdAt` in epoch s."""
        scan = self.dynamodb.get_paginator("scan")
        pages = scan.paginate(TableName=TABLE, ConsistentRead=True)
        return {
            row["connectionId"]["S"]: int(row["createdAt"]["N"]) / 1000
            for page in pages
            for row in page["Items"]
            if row["connectionId"]["S"] != SWEEP_ROW
        }

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function and return what it returns, or None if it failed."""
        answer = self.functions.invoke(
            FunctionName=f"incident-websocket-dev-{function}", Payload=json.dumps(event)
        )
        return None if "FunctionError" in answer else json.loads(answer["Payload"].read())

    def spoil_dynamodb(self, fail: float, lag_ms: float) -> None:
        """Have DynamoDB fail a share of its calls, and lag."""
        answer = urllib3.request(
            "POST",
            f"{self.engine_url}/@faults",
            body=json.dumps({"dynamodb_fail": fail, "dynamodb_lag": lag_ms}),
            headers={"Authorization": SIGNED},
        )
        assert answer.status == 200, answer.data

    async def _read(self) -> None:
        self._read_bytes = 0
        with self.log.open("rb") as file:
            rest = b""
            while True:
                data = file.read(2**20)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace")
                    self.journal.read(text)
                    if text.startswith("Press Ctrl+C"):
                        self._ready.set()
                self._read_bytes += len(data)
                if not data:
                    await asyncio.sleep(LOOK_S)


def _client(service: Any, url: str, attempts: int) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            read_timeout=60,
            max_pool_connections=16,
        ),
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_DEFAULT_REGION": REGION,
    }


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
