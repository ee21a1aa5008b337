"""The gateway as a package that another project installs."""

import os
import re
import subprocess
import sys
import tomllib
from http import HTTPStatus
from pathlib import Path

import pytest
import urllib3
from packaging.requirements import Requirement
from websockets.sync.client import connect

from localgateway import __version__
from tests.localgateway.support import Recorder, Told, copy_sample

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "localgateway"
# In seconds: pip loads and installs about 50 packages.
INSTALL_TIMEOUT = 600.0
PATIENCE = 120.0


def test_its_dependencies_are_those_that_it_is_tested_with() -> None:
    """requirements-run.txt pins them for this repository."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    declared = {each.name: each for each in map(Requirement, project["dependencies"])}
    lines = (ROOT / "requirements-run.txt").read_text().splitlines()
    pinned = {each.name: each for each in map(Requirement, [x for x in lines if "==" in x])}

    assert declared.keys() == pinned.keys()
    for name, each in declared.items():
        [pin] = pinned[name].specifier
        assert each.specifier.contains(pin.version), name


def test_its_documented_options_exist() -> None:
    """Its README shows some of them."""
    shown = set(re.findall(r"--[a-z-]+", (PACKAGE / "README.md").read_text(encoding="utf-8")))
    options = (ROOT / "docs" / "local-gateway.md").read_text(encoding="utf-8")

    assert not {name for name in shown - {"--help", "--merge-template"} if name not in options}


@pytest.mark.proof
def test_an_installed_gateway_serves_another_project(tmp_path: Path, recorder: Recorder) -> None:
    """In a new environment and far from this repository, with the commands of the package."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, str(PACKAGE)], check=True, cwd=tmp_path, timeout=INSTALL_TIMEOUT)
    project = copy_sample(tmp_path, recorder)
    shell = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=shell,
            input="",
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE,
        ).stdout

    version = run("chalice-websocket-gateway", "--version")
    with subprocess.Popen(
        ["chalice-websocket-gateway", "--port=0"],
        cwd=project,
        env=shell,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = read_start(process)
            url, port = re.findall(r"(ws://127\.0\.0\.1:(\d+)/live)", said)[0]
            with connect(url) as client:
                client.send("hello")
                assert client.recv(timeout=PATIENCE) == "not JSON: hello"
            [ended] = recorder.wait(lambda told: told.kind == "disconnect" and on(told, port))
            table = run("chalice-websocket-client", f"--port={port}", "table")
            exports = run("chalice-websocket-client", f"--port={port}", "env")
            page, token = run("chalice-websocket-client", f"--port={port}", "console").split("#")
            shown = urllib3.request("GET", page).data.decode()
            scripts = re.findall(r'(?:src|href)="([\w.]+)"', shown)
            for name in scripts:
                assert urllib3.request("GET", page + name).status == HTTPStatus.OK
            connected = run("chalice-websocket-client", f"--port={port}", "connect")
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0

    assert version == f"chalice-websocket-gateway, version {__version__}\n"
    assert ended.content["requestContext"]["disconnectStatusCode"] == 1000
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n" in exports
    assert "main.js" in scripts
    assert len(token) > 30
    assert table == "Things-dev is empty\n"
    assert f"Connected to {url}" in connected
    assert str(ROOT) not in said


def read_start(process: subprocess.Popen[str]) -> str:
    """Return what the gateway prints until it serves."""
    said = ""
    assert process.stdout is not None
    while "Ctrl+C" not in said:
        line = process.stdout.readline()
        assert line, f"it ended after {said!r}"
        said += line
    return said


def on(told: Told, port: str) -> bool:
    """Return whether an event comes from the gateway on a port."""
    domain: str = told.content["requestContext"]["domainName"]
    return domain.endswith(f":{port}")
