"""The command line: `python -m accept`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accept.checking import check_all
from accept.errors import TargetError
from accept.plan import CHECKS
from accept.results import NAME_WIDTH, good, report, summary
from accept.run import Run, subject
from accept.targets import deployed, local_gateway

if TYPE_CHECKING:
    from accept.aws import Aws
    from accept.results import Result
    from accept.target import Target

SECONDS = 180
METRICS_SECONDS = 480
IDLE_SECONDS = 25 * 60 + METRICS_SECONDS


@click.command(name="python -m accept")
@click.option("--local", metavar="URL", help="Check the local gateway at this address.")
@click.option("--stage", help="Check the stage that `chalice deploy` deployed.")
@click.option("--stack", help="Check the stage that this CloudFormation stack deployed.")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The folder that contains .chalice, with --stage or --stack.",
)
@click.option("--url", help="The WebSocket address, if it is not API Gateway's own.")
@click.option("--token", envvar="ACCEPT_TOKEN", help="A client's token, if AUTH_ISSUER is set.")
@click.option("--notify-all", is_flag=True, help="Notify everybody too, if nobody else is there.")
@click.option("--metrics", is_flag=True, help="Wait for the metrics too; takes up to 8 minutes.")
@click.option("--idle", is_flag=True, help="Notify a client after 20 idle minutes too.")
@click.option("--skip", "left_out", multiple=True, metavar="CHECK", help="Leave a check out.")
@click.option("--plan", is_flag=True, help="List the checks and make none.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def main(
    *,
    local: str | None,
    stage: str | None,
    stack: str | None,
    project: Path,
    url: str | None,
    token: str | None,
    left_out: tuple[str, ...],
    plan: bool,
    as_json: bool,
    **asked: bool,
) -> None:
    """Check a stage from outside, with its own clients. Exit with 0 if nothing fails."""
    unknown = set(left_out) - {check.name for check in CHECKS}
    if unknown:
        raise click.UsageError(f"no such check: {', '.join(sorted(unknown))}; --plan lists all")
    if plan:
        for check in CHECKS:
            click.echo(f"{check.name:<{NAME_WIDTH}} {check.about}")
        return
    if sum(each is not None for each in (local, stage, stack)) != 1:
        raise click.UsageError("give one of --local, --stage and --stack")
    try:
        if token is not None:
            subject(token)
        target, aws = _find(local, stage, stack, project, url)
    except TargetError as error:
        raise click.ClickException(str(error)) from error
    options = {f"--{name.replace('_', '-')}" for name, given in asked.items() if given}
    sys.exit(asyncio.run(_checked(target, aws, token, options, left_out, as_json=as_json)))


def _find(
    local: str | None, stage: str | None, stack: str | None, project: Path, url: str | None
) -> tuple[Target, Aws]:
    if local is not None:
        return local_gateway.find(local)
    if stage is not None:
        return deployed.by_record(stage, project, url)
    return deployed.by_stack(str(stack), project, url)


async def _checked(
    target: Target,
    aws: Aws,
    token: str | None,
    options: set[str],
    left_out: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    seconds = SECONDS
    if "--metrics" in options:
        seconds = METRICS_SECONDS
    if "--idle" in options:
        seconds = IDLE_SECONDS
    run = Run(target, aws, seconds, token)

    def show(result: Result) -> None:
        if not as_json:
            click.echo(result.line())

    results = await check_all(CHECKS, run, asked=options, left_out=left_out, show=show)
    click.echo(
        json.dumps(report(results, run, target), ensure_ascii=False)
        if as_json
        else summary(results, run)
    )
    return 0 if good(results) else 1


if __name__ == "__main__":
    main()
