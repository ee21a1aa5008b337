"""The command line: `python -m localgateway`."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localgateway.errors import GatewayError
from localgateway.gateway import serve
from localgateway.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = click.FloatRange(min=0, min_open=True)
SHARE = click.FloatRange(0, 1)
PORT = click.IntRange(0, 65535)


@click.command(name="python -m localgateway", context_settings={"show_default": True})
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    default=".",
    help="The folder of the Chalice project.",
)
@click.option("--stage", default=Options.stage, help="The stage of .chalice/config.json to run.")
@click.option("--host", default=Options.host, help="The address to listen on.")
@click.option("--port", type=PORT, default=Options.port, help="The port; 0 picks a free one.")
@click.option(
    "--environments",
    type=click.IntRange(1, 100),
    default=Options.environments,
    help="Execution environments of each function, at most.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, 100_000),
    default=Options.max_connections,
    help="Connections at once; further handshakes are refused with 429.",
)
@click.option(
    "--idle-timeout",
    type=SECONDS,
    default=Options.idle_timeout,
    help="Seconds without a message until a connection is closed with 1001.",
)
@click.option(
    "--max-duration",
    type=SECONDS,
    default=Options.max_duration,
    help="Seconds until a connection is closed with 1001 in any case.",
)
@click.option(
    "--schedule-every",
    type=SECONDS,
    default=Options.schedule_every,
    help="Seconds between the runs of every schedule, in place of its own rate.",
)
@click.option(
    "--drop-disconnects",
    type=SHARE,
    default=Options.drop_disconnects,
    help="The share of $disconnect events to drop, 0 to 1.",
)
@click.option(
    "--dynamodb-endpoint",
    metavar="URL",
    default=Options.dynamodb_endpoint,
    help="Another DynamoDB than the embedded one; the shell's credentials and region count.",
)
@click.option(
    "--dynamodb-port",
    type=PORT,
    default=Options.dynamodb_port,
    help="The port of the embedded DynamoDB; 0 picks a free one.",
)
@click.option(
    "--dynamodb-fail",
    type=SHARE,
    default=Options.dynamodb_fail,
    help="The share of calls that the embedded DynamoDB fails with a 500, 0 to 1.",
)
@click.option(
    "--dynamodb-lag",
    "dynamodb_lag_ms",
    type=click.IntRange(0, 60_000),
    default=Options.dynamodb_lag_ms,
    help="Milliseconds by which the embedded DynamoDB delays each call.",
)
@click.option(
    "--ttl-interval",
    type=SECONDS,
    default=Options.ttl_interval,
    help="Seconds between deletions of expired rows from the embedded DynamoDB.",
)
def main(**given: object) -> None:
    """Run a Chalice WebSocket app as API Gateway, Lambda and DynamoDB would, on this machine."""
    options = Options(**given)  # type: ignore[arg-type] # click has checked each
    if options.dynamodb_endpoint and (options.dynamodb_fail or options.dynamodb_lag_ms):
        raise click.UsageError(
            "--dynamodb-fail and --dynamodb-lag act on the embedded DynamoDB; "
            "leave them out with --dynamodb-endpoint"
        )
    logging.basicConfig(format="gateway: %(message)s")
    try:
        asyncio.run(serve(options, _started))
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


def _started(text: str, stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    click.echo(text)


if __name__ == "__main__":
    main()
