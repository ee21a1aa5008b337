"""`make`'s commands that talk to a running gateway, with this project's application."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.support.gateway import PATIENCE_S, Gateway, serving

pytestmark = pytest.mark.proof


def make(gateway: Gateway, *arguments: str) -> str:
    """Run a target against the gateway and return what it prints."""
    port = gateway.lambda_endpoint.rpartition(":")[2]
    return subprocess.run(
        ["make", "--no-print-directory", f"PORT={port}", *arguments],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith("AWS_")},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=True,
        text=True,
        timeout=PATIENCE_S,
    ).stdout


def test_each_command_acts_on_the_running_gateway(tmp_path: Path) -> None:
    """One client connects, is seen, notified and closed."""
    with serving(tmp_path / "project") as gateway:
        assert f"Connected to {gateway.url}?clientId=eve" in make(gateway, "connect", "CLIENT=eve")
        with connect(f"{gateway.url}?clientId=ada") as client:
            assert "ada" in make(gateway, "who", "CLIENT=ada")
            assert "ada" not in make(gateway, "who", "CLIENT=bob")
            assert "ada" in make(gateway, "rows")
            assert "published" in make(gateway, "notify", "CLIENT=ada", 'MESSAGE=it\'s "full"')
            assert 'it\'s "full"' in json.loads(client.recv(timeout=PATIENCE_S))["message"]
            assert "dryRun" in make(gateway, "sweep", "DRY=1")
            assert '"closed"' in make(gateway, "close", "CLIENT=ada")
            assert json.loads(client.recv(timeout=PATIENCE_S))["reason"] == "kicked"
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=PATIENCE_S)
            assert client.close_code == 1000
        assert "error" not in make(gateway, "sweep")
        assert f"AWS_ENDPOINT_URL={gateway.lambda_endpoint}\n" in make(gateway, "env")
