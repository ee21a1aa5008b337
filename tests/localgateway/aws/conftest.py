"""An engine in a process of its own: its corrections of moto stay out of the other tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def engine_process() -> Iterator[str]:
    """Run the engine and yield its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "localgateway.aws.engine"],
        cwd=ROOT,
        env=os.environ
        | {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        process.stdin.close()
