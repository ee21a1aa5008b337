"""Time warm handlers: `python -m bench.handlers`.

One pair is a `$connect` and a `$disconnect`. The baseline makes the same three calls, put, get
and delete, on a `boto3` client as it comes. DynamoDB is answered in process and both are counted
in CPU time, batch by batch in turns; the ratio is that of the medians.
"""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import click

import app
from bench import network
from tests.support.events import connect_event, disconnect_event

LIMIT = 1.05
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "CONNECTIONS_TABLE": "bench",
}


class Context:
    """What the handlers read of a Lambda context."""

    function_name = "bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"


def handler_pair(connection_id: str) -> None:
    """Serve one connection from its start to its end."""
    app.connect(connect_event(connection_id), Context())
    app.disconnect(disconnect_event(connection_id), Context())


def client_pair(table: str) -> Callable[[str], None]:
    """Make the three bare calls on one `boto3` client."""
    client = boto3.client("dynamodb")

    def pair(connection_id: str) -> None:
        connect_event(connection_id)
        now = int(time.time())
        item = {
            "connectionId": {"S": connection_id},
            "createdAt": {"N": str(now * 1000)},
            "ttl": {"N": str(now + 86400)},
            "clientId": {"S": "unknown"},
        }
        key = {"connectionId": {"S": connection_id}}
        client.put_item(TableName=table, Item=item)
        client.get_item(TableName=table, Key=key, ConsistentRead=True)
        disconnect_event(connection_id)
        client.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")

    return pair


def cpu_ms(pair: Callable[[str], None], pairs: int) -> float:
    """Return the CPU time of one pair in ms, the mean of a batch."""
    start = time.process_time()
    for number in range(pairs):
        pair(f"L0SM9cOF{number:07}=")
    return (time.process_time() - start) * 1000 / pairs


@click.command()
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(3, 500))
@click.option("--pairs", default=100, show_default=True, type=click.IntRange(10, 10_000))
@click.option("--check", is_flag=True, help=f"Fail when the ratio is over {LIMIT}.")
def main(rounds: int, pairs: int, check: bool) -> None:
    """Print the ratio of the handlers' CPU time to that of three bare client calls."""
    os.environ.update(ENVIRONMENT)
    network.answer_in_process()
    subjects = {"handlers": handler_pair, "client": client_pair("bench")}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        for _ in range(rounds):
            for name, pair in subjects.items():
                times[name].append(cpu_ms(pair, pairs))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["handlers"] / medians["client"]
    for name, median in medians.items():
        click.echo(f"{name:9} {median:6.3f} ms CPU a pair (median of {rounds} x {pairs})")
    click.echo(f"ratio     {ratio:6.2f} (at most {LIMIT})")
    if check and ratio > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
