"""What the README says holds: its commands run, its tables agree with the code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.settings import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEFAULTS = {"must be set": None, "nothing": ""}


def commands() -> list[str]:
    """Give every line of every shell block."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def table(heading: str) -> list[list[str]]:
    """Give the rows of the table under `heading`, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def make_runs(target: str) -> list[str]:
    """Give the commands that `make` would run, without the folder of the programs."""
    plan = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *target.split()],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.removeprefix(".venv/bin/") for line in plan.stdout.splitlines()]


def test_the_settings_table_is_that_of_the_code() -> None:
    """Names, defaults and what is accepted stand in one place only, and are quoted from there."""
    documented = [
        (name.strip("`"), DEFAULTS.get(default, default.strip("`")), accepted)
        for name, default, accepted in table("Settings")
    ]

    assert documented == [(v.name, v.default, v.accepted) for v in VARIABLES]


def test_every_shipped_file_is_named_and_every_named_file_is_there() -> None:
    """A reader finds his way by the table of files."""
    named = {name for row in table("The files") for name in re.findall(r"`([^`]+)`", row[0])}

    shipped = {str(path.relative_to(ROOT)) for path in ROOT.glob("chalicelib/*.py")}
    assert shipped - {"chalicelib/__init__.py"} <= named
    assert all((ROOT / name).exists() for name in named)


def test_every_link_leads_somewhere() -> None:
    """Every file that the README links to is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_make_deploy_runs_what_it_is_said_to_run() -> None:
    """The plain commands in the README are those behind `make deploy`."""
    said = [line for line in commands() if line.endswith("--stage dev") and "make" not in line]

    assert len(said) == 3
    assert [line for line in make_runs("deploy STAGE=dev") if "--stage" in line] == said


def test_make_package_runs_what_it_is_said_to_run() -> None:
    """The packaging command in the README is that behind `make package`."""
    [said] = [line for line in commands() if line.startswith("chalice package")]

    assert said in make_runs("package STAGE=prod")


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make ")])
def test_every_make_target_in_the_readme_exists(command: str) -> None:
    """`make run` is run by the end-to-end tests; that `make test` works is seen here."""
    assert make_runs(command.removeprefix("make "))


def test_the_help_command_of_the_readme_runs() -> None:
    """It prints the options of the local gateway."""
    [said] = [line for line in commands() if line.endswith("--help")]
    arguments = said.removeprefix(".venv/bin/python ").split()

    shown = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert "--port" in shown.stdout


def test_make_run_serves_the_client_of_the_readme() -> None:
    """Both run as they stand, but for the port, which may be taken on this machine."""
    [client] = [line for line in commands() if "-m websockets" in line]
    with subprocess.Popen(
        ["make", "--no-print-directory", "run", "ARGS=--port 0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as gateway:
        try:
            assert gateway.stdout
            printed = next(line for line in gateway.stdout if "ws://" in line)
            [address] = re.findall(r"ws://127\.0\.0\.1:\d+/dev", printed)
            [documented] = re.findall(r"ws://\S+", client)
            arguments = client.replace(documented, address).removeprefix(".venv/bin/python ")

            connected = subprocess.run(
                [sys.executable, *arguments.split()],
                stdin=subprocess.DEVNULL,
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            )
            lines = [next(line for line in gateway.stdout if '"connected"' in line)]
            lines.append(next(line for line in gateway.stdout if '"disconnected"' in line))
        finally:
            os.killpg(gateway.pid, signal.SIGINT)
        assert gateway.wait(timeout=60) == -signal.SIGINT  # of make; the gateway ended first

    assert f"Connected to {address}" in connected.stdout
    assert [json.loads(line)["level"] for line in lines] == ["INFO", "INFO"]


def test_the_documented_port_is_the_default() -> None:
    """The address in the README is the one that `make run` prints."""
    shown = subprocess.run(
        [sys.executable, "-m", "localgateway", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    [port] = {line.split(":")[-1].split("/")[0] for line in commands() if "ws://" in line}
    assert f"default: {port}" in " ".join(shown.stdout.split())
