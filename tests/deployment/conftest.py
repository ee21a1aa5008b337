"""The project as the deployment tools see it, and an AWS to deploy it to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import ministack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.ministack import Ministack

ROOT = Path(__file__).parents[2]
STAGES = ("dev", "prod")
REGION = ministack.REGION


@dataclass(frozen=True)
class Project:
    """A copy of the files that the deployment commands read, to run the commands in."""

    folder: Path

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of this Python environment, with the given AWS settings only.

        Return its standard output. Raise `CalledProcessError` if it fails, after printing all of
        its output.
        """
        program, *arguments = command
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        nowhere = str(self.folder / "no-such-file")
        aws = {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        finished = subprocess.run(
            [Path(sys.executable).parent / program, *arguments],
            cwd=self.folder,
            env={**inherited, **aws, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,  # packaging downloads requirements.txt
            check=False,
        )
        sys.stdout.write(finished.stdout)
        sys.stderr.write(finished.stderr)
        finished.check_returncode()
        return finished.stdout

    def package(self, stage: str) -> Path:
        """Package the stage as documented and return the folder of the package."""
        self.run("python", "-m", "provision.package", "--stage", stage)
        return self.folder / "build" / stage


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Copy the project without the files that earlier commands left in it."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    leftovers = shutil.ignore_patterns("__pycache__", "deployed", "deployments", "venv")
    for name in ("chalicelib", ".chalice", "provision"):
        shutil.copytree(ROOT / name, folder / name, ignore=leftovers)
    return Project(folder)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """Run an empty ministack."""
    with ministack.running(tmp_path_factory.mktemp("ministack")) as aws:
        yield aws
