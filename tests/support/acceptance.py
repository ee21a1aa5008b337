"""The command line of `accept`, run in the test's own process."""

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from accept.__main__ import main


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
    finished = CliRunner().invoke(main, ["--json", *arguments, *left_out], env=environment)
    sys.stdout.write(finished.output)
    if not isinstance(finished.exception, SystemExit | None):
        raise finished.exception
    return Accepted(finished.exit_code, json.loads(finished.output))
