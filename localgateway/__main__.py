"""The command line: `python -m localgateway`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from localgateway import __version__
from localgateway.errors import GatewayError
from localgateway.faults_api import MOST
from localgateway.gateway import serve
from localgateway.log_format import GatewayLine
from localgateway.options import Options
from localgateway.terminal_log import TerminalHandler, TerminalLog, color_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = click.FloatRange(min=0, min_open=True)
SHARE = click.FloatRange(0, 1)
PORT = click.IntRange(0, 65535)
MORE = """\b
AWS clients reach @connections, Invoke and the embedded AWS at http://HOST:PORT, with the
credentials of the run: eval "$(python -m localgateway.client env)" sets both."""


@click.command(name="python -m localgateway", epilog=MORE, context_settings={"show_default": True})
@click.version_option(__version__, prog_name="chalice-websocket-gateway")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    default=".",
    help="Folder of the Chalice project.",
)
@click.option("--stage", default=Options.stage, help="Stage in .chalice/config.json to run.")
@click.option("--host", default=Options.host, help="Address to listen on.")
@click.option("--port", type=PORT, default=Options.port, help="Port; 0 picks a free one.")
@click.option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    default=Options.allow_host,
    help="Another name for HTTP requests to this machine, e.g. host.docker.internal.",
)
@click.option(
    "--region",
    envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
    default=Options.region,
    help="AWS region, by default that of AWS_REGION or AWS_DEFAULT_REGION, if set.",
)
@click.option(
    "--reload/--no-reload",
    default=Options.reload,
    help="Take changes of the sources over while running.",
)
@click.option(
    "--log",
    type=click.Choice(["json", "pretty"]),
    default=None,
    show_default="pretty in a terminal, else json",
    help="Format of the functions' log lines: as written, or short lines to read.",
)
@click.option(
    "--environments",
    type=click.IntRange(1, 100),
    default=Options.environments,
    help="Maximum execution environments per function.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, 100_000),
    default=Options.max_connections,
    help="Maximum open connections; more handshakes are refused with 429.",
)
@click.option(
    "--connect-rate",
    type=SECONDS,
    default=Options.connect_rate,
    show_default="no limit",
    help="Maximum handshakes a second; more are refused with 429.",
)
@click.option(
    "--route-responses",
    type=click.Choice(["template", "all", "none"]),
    default=Options.route_responses,
    help="Routes whose functions may reply: those of .chalice/resources.json, all or none.",
)
@click.option(
    "--idle-timeout",
    type=SECONDS,
    default=Options.idle_timeout,
    help="Seconds without a message before a connection is closed with 1001.",
)
@click.option(
    "--max-duration",
    type=SECONDS,
    default=Options.max_duration,
    help="Maximum connection lifetime in seconds.",
)
@click.option(
    "--schedule-every",
    type=SECONDS,
    default=Options.schedule_every,
    help="Seconds between runs of every schedule, instead of its own rate.",
)
@click.option(
    "--drop-disconnects",
    type=SHARE,
    default=Options.drop_disconnects,
    help="Share of $disconnect events to drop, from 0 to 1.",
)
@click.option(
    "--drop-posts",
    type=SHARE,
    default=Options.drop_posts,
    help="Share of posts to @connections that are accepted but not delivered, from 0 to 1.",
)
@click.option(
    "--repeat-messages",
    type=SHARE,
    default=Options.repeat_messages,
    help="Share of SNS messages that functions receive twice, from 0 to 1.",
)
@click.option(
    "--shuffle-messages",
    type=click.FloatRange(0, MOST["shuffle_messages"]),
    default=Options.shuffle_messages,
    help="Seconds by which SNS messages arrive late at most, so in another order.",
)
@click.option(
    "--dynamodb-endpoint",
    metavar="URL",
    default=Options.dynamodb_endpoint,
    help="Use this DynamoDB instead of the embedded one, with the shell's credentials and region.",
)
@click.option(
    "--dynamodb-port",
    type=PORT,
    default=Options.dynamodb_port,
    show_default="8766, or a free port",
    help="Port of the embedded AWS; 0 picks a free one.",
)
@click.option(
    "--dynamodb-fail",
    type=SHARE,
    default=Options.dynamodb_fail,
    help="Share of calls that the embedded DynamoDB fails with a 500, from 0 to 1.",
)
@click.option(
    "--dynamodb-lag",
    "dynamodb_lag_ms",
    type=click.IntRange(0, MOST["dynamodb_lag"]),
    default=Options.dynamodb_lag_ms,
    help="Milliseconds of delay for each call to the embedded DynamoDB.",
)
@click.option(
    "--ttl-interval",
    type=SECONDS,
    default=Options.ttl_interval,
    help="Seconds between deletions of expired rows in the embedded DynamoDB.",
)
def main(log: str | None, **given: object) -> None:
    """Run a Chalice WebSocket app on this machine, like API Gateway, Lambda and DynamoDB."""
    log = log or ("pretty" if sys.stdout.isatty() else "json")
    options = Options(log=log, **given)  # type: ignore[arg-type] # click has checked each
    if options.dynamodb_endpoint and (options.dynamodb_fail or options.dynamodb_lag_ms):
        raise click.UsageError(
            "--dynamodb-fail and --dynamodb-lag apply to the embedded DynamoDB only; "
            "remove them or --dynamodb-endpoint"
        )
    try:
        with _logging(options), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(options, _started))
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _logging(options: Options) -> Iterator[None]:
    """Write the gateway's own lines to standard error, for which its event loop never waits."""
    with TerminalLog(sys.stderr, plain=True).running() as log:
        handler = TerminalHandler(log)
        handler.setFormatter(
            GatewayLine(color=color_wanted(sys.stderr))
            if options.log == "pretty"
            else logging.Formatter("gateway: %(message)s")
        )
        logging.basicConfig(handlers=[handler])
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


def _started(text: str, stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    click.echo(text, color=color_wanted(sys.stdout))


if __name__ == "__main__":
    main()
