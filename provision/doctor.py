"""Check an account before a first deployment: `python -m provision.doctor --stage prod`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.account_checks import Account, Finding, Result, checks
from provision.errors import ProvisionError
from provision.session import region_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def diagnose(account: Account) -> Iterator[tuple[str, Finding]]:
    """Run every check and return its name and finding.

    A check that AWS does not answer, or that these credentials may not make, is `unknown`. Without
    region or credentials, nothing else can be checked.
    """
    for name, check in checks(account):
        try:
            finding = check()
        except ClientError as error:
            finding = Finding(Result.UNKNOWN, str(error))
        except (BotoCoreError, ProvisionError) as error:
            finding = Finding(Result.FAILED, str(error))
        yield name, finding
        if name in ("region", "credentials") and finding.result is not Result.PASSED:
            return


@click.command(name="python -m provision.doctor")
@click.option("--stage", required=True, help="The stage to deploy.")
@click.option("--bucket", help="The bucket for `make deploy-stack`. Without it, it is not checked.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template to be deployed.",
)
@click.option("--region", help="The AWS region. The default is the configured one.")
def main(stage: str, bucket: str | None, resources: Path, region: str | None) -> None:
    """Check whether a stage can be deployed to this account and region. Change nothing."""
    session = boto3.Session(region_name=region_of(region))
    account = Account(session, stage, resources, bucket or None)
    results = []
    for name, finding in diagnose(account):
        results.append(finding.result)
        click.echo(f"{finding.result:8}{name}: {finding.detail}")
        for command in finding.commands:
            click.echo(f"          {command}")
    if Result.FAILED in results:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
