"""Node's `ws` client, with the cases that serverless-offline's own tests look at."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.localgateway.support import Gateway

pytestmark = pytest.mark.proof

SOURCES = Path(__file__).with_name("node_client")
BUILD = Path(__file__).resolve().parents[2] / "build"
# In seconds, for all cases together.
LIMIT = 300


@pytest.fixture(scope="module")
def node_client() -> Path:
    """Return a folder with the cases and the client, installed by npm when it is missing."""
    folder = BUILD / "node-client"
    folder.mkdir(parents=True, exist_ok=True)
    with (BUILD / "node-client.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for source in SOURCES.iterdir():
            shutil.copy(source, folder)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=LIMIT)
    return folder


def test_every_case_passes(gateway: Gateway, node_client: Path) -> None:
    """None of them is left out; docs/local-gateway.md lists what serverless-offline does else."""
    http = f"http://{gateway.address}"

    ran = subprocess.run(
        ["node", "cases.js", gateway.url, http],
        cwd=node_client,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )

    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [result for result in results if "error" in result] == []
    assert len(results) >= 43
