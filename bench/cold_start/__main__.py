"""Time a cold start: `python -m bench.cold_start`.

The subject is the real deployment package, unpacked; the baseline is `plain.py`. Neither has
bytecode, as in Lambda, where a package is unpacked into a folder that cannot be written to. boto3
and botocore come compiled, as the Lambda runtime brings them. Both are whole processes, run by
turns. The ratio is that of their CPU times: a cold start is CPU from end to end, and what else runs
on this machine does not count.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 0.90
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "CONNECTIONS_TABLE": "bench",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def unpacked_deployment(folder: Path) -> Path:
    """Build the deployment package with `chalice package` and unpack it."""
    project = folder / "project"
    ignored = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(ROOT / name, project / name, ignore=ignored)
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, project / name)
    chalice = Path(sys.executable).with_name("chalice")
    subprocess.run(
        [chalice, "package", "--stage", "dev", str(folder / "out")],
        cwd=project,
        env=ENVIRONMENT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    package = folder / "package"
    with zipfile.ZipFile(folder / "out" / "deployment.zip") as archive:
        archive.extractall(package)
    return package


def start_s(module: str, folder: Path) -> tuple[float, float]:
    """Run one fresh process, and give its CPU time and its time from start to end, in seconds."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    start, cpu = time.perf_counter(), _cpu_of_children_s()
    subprocess.run(
        [sys.executable, "-m", "bench.cold_start.start", module],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONPATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return _cpu_of_children_s() - cpu, time.perf_counter() - start


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@click.command()
@click.option("--rounds", default=25, show_default=True, type=click.IntRange(3, 500))
@click.option("--check", is_flag=True, help=f"Fail when the ratio is over {LIMIT}.")
def main(rounds: int, check: bool) -> None:
    """Print the ratio of this project's cold start to the plain module's."""
    with tempfile.TemporaryDirectory() as folder:
        package = unpacked_deployment(Path(folder))
        plain = Path(folder) / "plain"
        plain.mkdir()
        shutil.copy(ROOT / "bench" / "cold_start" / "plain.py", plain)
        times: dict[str, list[tuple[float, float]]] = {"app": [], "plain": []}
        for _ in range(rounds):
            times["app"].append(start_s("app", package))
            times["plain"].append(start_s("plain", plain))
    medians = {
        name: [statistics.median(each) for each in zip(*values, strict=True)]
        for name, values in times.items()
    }
    ratio = medians["app"][0] / medians["plain"][0]
    click.echo(f"medians of {rounds} fresh processes each")
    for name, (cpu, wall) in medians.items():
        click.echo(f"{name:6} {cpu * 1000:7.1f} ms CPU, {wall * 1000:7.1f} ms from start to end")
    click.echo(f"ratio  {ratio:7.2f} (at most {LIMIT})")
    if check and ratio > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
