"""Time the history on the local DynamoDB: `python -m bench.replay.writes`.

The local DynamoDB is one process, which takes most of the CPU: the figures compare ways, and are
not AWS's. Appends are compared with plain writes by the same threads in the same run, and a
notification for named clients with one that is not recorded.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.gateway.processes import free_port, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
TABLE, HISTORY = "IncidentWebSocketConnections-dev", "IncidentWebSocketHistory-dev"
ENVELOPE = json.dumps({"type": "notification", "message": "x" * 900})
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


@dataclass
class Context:
    """Lambda's context, as far as `notify` uses it."""

    until: float
    function_name: str = "notify"
    aws_request_id: str = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left in ms."""
        return round(1000 * (self.until - time.monotonic()))


@contextlib.contextmanager
def services() -> Iterator[None]:
    """Run DynamoDB with the project's tables, and a stub of `@connections` that takes all posts."""
    os.environ |= CREDENTIALS | {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
    environment = dict(os.environ)
    dynamodb, api = free_port(), free_port()
    engine = [sys.executable, "-m", "localgateway.aws.engine", "--port", str(dynamodb)]
    with tempfile.TemporaryDirectory() as folder:
        stub = [sys.executable, "-m", "bench.fanout.stub", str(api), str(Path(folder) / "received")]
        log = Path(folder) / "log"
        with (
            running("DynamoDB", engine, dynamodb, log, ROOT, environment),
            running("the stub", stub, api, log, ROOT, environment),
        ):
            os.environ |= {
                "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb}",
                "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"http://127.0.0.1:{api}/dev",
                "CONNECTIONS_TABLE": TABLE,
                "RECOVER_OWN": "always",
            }
            provision = [sys.executable, "-m", "provision", "--stage=dev"]
            subprocess.run(
                [*provision, "--endpoint-url", os.environ["AWS_ENDPOINT_URL_DYNAMODB"]],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            yield


def rate(write: Callable[[int], object], writers: int, seconds: float) -> float:
    """Return how many writes a second some threads get done."""
    end = time.monotonic() + seconds

    def work(number: int) -> int:
        done = 0
        while time.monotonic() < end:
            write(number * 1_000_000 + done)
            done += 1
        return done

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(work, range(writers))) / seconds


def put(client: DynamoDBClient, number: int) -> None:
    """Write an entry without a head and without a condition."""
    key: Any = {"stream": {"S": "plain"}, "seq": {"N": str(number + 1)}}
    client.put_item(TableName=HISTORY, Item=key | {"envelope": {"S": ENVELOPE}})


def seed(client: DynamoDBClient, count: int) -> None:
    """Write the rows of `count` clients with a connection each, five minutes old."""
    from chalicelib.domain.connection import Connection
    from chalicelib.domain.rows import to_item

    now = time.time_ns() // 1_000_000
    for number in range(count):
        row = Connection(
            connection_id=f"{number:06}=",
            created_at=now - 300_000,
            ttl=now // 1000 + 86_400,
            client_id=f"client-{number}",
            region=REGION,
            api_id="api",
            stage="dev",
        )
        client.put_item(TableName=TABLE, Item=to_item(row))


def notify(count: int, notification_id: str) -> float:
    """Notify named clients; return the s until the function has returned."""
    from chalicelib.handlers.notify import notify

    names = [f"client-{number}" for number in range(count)]
    record = {
        "MessageId": notification_id,
        "Subject": None,
        "Message": "x" * 900,
        "Timestamp": "2026-11-25T10:00:00.000Z",
        "TopicArn": f"arn:aws:sns:{REGION}:123456789012:topic",
        "MessageAttributes": {"clientId": {"Type": "String.Array", "Value": json.dumps(names)}},
    }
    event = {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": record}]}
    started = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        report = notify(event, Context(started + 600))
    if report is None or report["delivered"] != count:
        raise SystemExit(f"{report}; expected {count} deliveries")
    return time.monotonic() - started


@click.command(name="python -m bench.replay.writes")
@click.option("--seconds", default=10.0, show_default=True, help="Time for each way of writing.")
@click.option("--clients", default=1000, show_default=True, help="Named clients.")
def main(seconds: float, clients: int) -> None:
    """Print rates, and their ratios to the plain way."""
    with services():
        from chalicelib.adapters.table import dynamodb
        from chalicelib.clock import Deadline
        from chalicelib.history import History

        log = History(dynamodb(), HISTORY, Deadline(time.monotonic() + 3600))
        for writers in (1, 8):
            plain = rate(lambda number: put(log.client, number), writers, seconds)
            chain = rate(
                lambda number, at=writers: log.append(f"s{at}", f"id-{number}", ENVELOPE, 3600),  # type: ignore[misc]
                writers,
                seconds,
            )
            click.echo(
                f"{writers} writers, one stream: {chain:.0f} appends/s, {plain:.0f} plain puts/s,"
                f" ratio {chain / plain:.2f}"
            )
        seed(log.client, clients)
        bare = notify(clients, "bare")
        os.environ["HISTORY_TABLE"] = HISTORY
        recorded = notify(clients, "recorded")
        click.echo(
            f"{clients} named clients: {recorded:.1f} s until the last post when recorded,"
            f" {bare:.1f} s when not, ratio {recorded / bare:.1f}"
        )


if __name__ == "__main__":
    main()
