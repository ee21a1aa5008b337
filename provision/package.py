"""Run `chalice package` with the resources file, made ready for one stage.

Two things have to be in the template itself, and Chalice cannot insert them. Its parameter `Stage`
must accept the packaged stage only, because the policies in it are written for that stage. And the
table's name must be a plain string: CloudFormation imports an existing table into a new stack only
under a name that no function computes.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision import function_rights
from provision.errors import ParameterError, ProvisionError
from provision.intrinsics import Values
from provision.session import region_of
from provision.template import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def merge_template(resources: Path, more: Iterable[Path], stage: str) -> dict[str, Any]:
    """Return the resources file for one stage, with the files of `more` merged over it."""
    template = read(resources)
    for path in more:
        template = _merged(template, read(path))
    parameter = template["Parameters"]["Stage"]
    if stage not in parameter["AllowedValues"]:
        raise ParameterError("Stage", stage, parameter["AllowedValues"])
    parameter["AllowedValues"] = [stage]
    names = Values({"Stage": stage}, {})
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::DynamoDB::Table":
            properties = resource["Properties"]
            properties["TableName"] = names.resolve(properties["TableName"])
    return template


def _merged(below: Any, above: Any) -> Any:
    """Merge as Chalice does: objects by their names, anything else replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{name: _merged(below.get(name), value) for name, value in above.items()}}


def run_chalice(project: Path, stage: str, template: Mapping[str, Any], out: Path) -> None:
    """Package the stage into `out`. Raise `ProvisionError` if Chalice fails; it says why."""
    region = region_of(None)
    environment = {**os.environ, **({"AWS_DEFAULT_REGION": region} if region else {})}
    with tempfile.TemporaryDirectory() as folder:
        merge = Path(folder) / "resources.json"
        merge.write_text(json.dumps(template))
        program = Path(sysconfig.get_path("scripts")) / "chalice"
        options = ["--stage", stage, "--merge-template", str(merge), str(out.absolute())]
        command = [str(program), "package", *options]
        finished = subprocess.run(command, cwd=project, env=environment, check=False)  # noqa: S603 - ours
    if finished.returncode:
        raise ProvisionError(f"`chalice package` ended with status {finished.returncode}")


@click.command(name="python -m provision.package")
@click.option("--stage", required=True, help="The stage to package.")
@click.option(
    "--merge",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A template to merge over .chalice/resources.json. May be repeated.",
)
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The folder that contains .chalice.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The default is build/STAGE.")
def main(stage: str, merge: tuple[Path, ...], project: Path, out: Path | None) -> None:
    """Package the stage for CloudFormation: a template, sam.json, and a zip."""
    out = out or project / "build" / stage
    try:
        function_rights.check(project / ".chalice" / "config.json", stage)
        template = merge_template(project / ".chalice" / "resources.json", merge, stage)
        run_chalice(project, stage, template, out)
    except ProvisionError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"packaged stage {stage}: {out / 'sam.json'}")


if __name__ == "__main__":
    main()
