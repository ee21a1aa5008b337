"""The JavaScript client, in Node and in Chromium."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.browser import chromium, page
from tests.support.node import FOLDER, node, require

PATIENCE_S = 120


@pytest.mark.parametrize("script", ["test", "types"])
def test_a_script_of_the_package_passes(script: str) -> None:
    """`test` runs the tests in Node, `types` compiles the declarations."""
    node()
    command = [require("npm", how="install npm"), "run", script]
    result = subprocess.run(
        command, cwd=FOLDER, capture_output=True, check=False, text=True, timeout=PATIENCE_S
    )

    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-5_000:]


def test_the_package_has_each_module() -> None:
    node()
    command = [require("npm", how="install npm"), "pack", "--dry-run", "--json"]
    packed = subprocess.run(
        command, cwd=FOLDER, capture_output=True, check=True, timeout=PATIENCE_S
    )
    said = json.loads(packed.stdout)

    [package] = said.values() if isinstance(said, dict) else said  # an object since npm 11
    assert {file["path"] for file in package["files"]} == {"README.md", "package.json"} | {
        path.name for pattern in ("*.js", "*.d.ts") for path in FOLDER.glob(pattern)
    }


@pytest.mark.proof
def test_the_rules_hold_in_chromium(tmp_path: Path) -> None:
    """The same tests as in Node, and what only a browser has: events, sessionStorage, reloads."""
    with page("", FOLDER) as (url, reports), chromium(tmp_path, f"{url}test/page.html"):
        report = json.loads(reports.get(timeout=PATIENCE_S))

    assert report["failures"] == {}
    assert report["passed"] > 60
