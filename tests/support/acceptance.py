"""`python -m accept` as people run it: in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conftest import ROOT

PATIENCE_S = 240


@dataclass(frozen=True)
class Accepted:
    """The exit status of a run and its JSON report."""

    status: int
    report: Mapping[str, Any]

    def having(self, status: str) -> dict[str, str]:
        """Return the details of the checks that ended so, by name."""
        checks = self.report["checks"]
        return {each["name"]: each["detail"] for each in checks if each["status"] == status}


def accept(
    *arguments: str, environment: Mapping[str, str] | None = None, skip: Collection[str] = ()
) -> Accepted:
    """Run the checks and return what came of them; `skip` are the names of checks to leave out."""
    left_out = [f"--skip={name}" for name in skip]
    finished = subprocess.run(
        [sys.executable, "-m", "accept", "--json", *arguments, *left_out],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    sys.stdout.write(finished.stdout)
    sys.stderr.write(finished.stderr)
    return Accepted(finished.returncode, json.loads(finished.stdout))
