"""The JavaScript client's folder, with what its tests need from npm."""

import fcntl
import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "clients" / "js"
INSTALL_S = 300


def require(*programs: str, how: str) -> str:
    """Return the first of some programs that is there. Skip the test, or fail it in CI."""
    for program in programs:
        if path := shutil.which(program):
            return path
    problem = f"{programs[0]} is missing, so the JavaScript client is not tested: {how}"
    assert "CI" not in os.environ, problem
    pytest.skip(problem)


def node() -> str:
    """Return the path of Node 20 or later, after `npm ci` in the client's folder."""
    path = require("node", how="install Node 20 or later")
    version = subprocess.run([path, "--version"], capture_output=True, check=True, text=True).stdout
    assert int(version.strip().lstrip("v").split(".")[0]) >= 20, f"node is {version}; expected 20"
    npm = require("npm", how="install npm")
    with (FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (FOLDER / "node_modules" / "ws").is_dir():
            command = [npm, "ci", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=FOLDER, check=True, timeout=INSTALL_S)
    return path
