"""The README is true: its commands run, its settings are the code's, both languages agree."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.variables import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
MAX_LINES = 150
DEFAULTS = {"required": None, "empty": "", "필수": None, "비어 있음": ""}


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the content of each code block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return each line of the shell blocks."""
    blocks = [block for language, block in code_blocks(README) if language == "sh"]
    return [line for block in blocks for line in block.splitlines()]


def settings(text: str, heading: str) -> list[tuple[str, str | None, str]]:
    """Return name, default and accepted values of each setting in the table under `heading`."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [
        (name.strip(" `"), DEFAULTS.get(default.strip(), default.strip(" `")), accepted.strip())
        for name, default, accepted in rows[2:]
    ]


def make_runs(target: str) -> list[str]:
    """Return the commands that `make` would run, without the path of the virtual environment.

    Variables of a `make test ARGS=…` around the tests do not count.
    """
    given = ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
    plan = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *target.split()],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in given},
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.removeprefix(".venv/bin/") for line in plan.stdout.splitlines()]


def test_the_settings_are_those_of_the_code() -> None:
    """Name, default and accepted values equal those in `settings.py`."""
    assert settings(README, "Settings") == [(v.name, v.default, v.accepted) for v in VARIABLES]


def test_the_readme_stays_short() -> None:
    """Longer explanations belong in docs/."""
    assert len(README.splitlines()) <= MAX_LINES


def test_the_korean_readme_has_the_same_code_blocks() -> None:
    """Commands are not translated."""
    assert code_blocks(KOREAN) == code_blocks(README)


def test_the_korean_readme_has_the_same_settings() -> None:
    """Only the accepted values are translated."""
    english, korean = settings(README, "Settings"), settings(KOREAN, "설정")

    assert [setting[:2] for setting in korean] == [setting[:2] for setting in english]


def test_the_korean_readme_has_the_same_headings() -> None:
    """The sections match in number and level."""
    english, korean = (re.findall(r"^#+ ", prose(text), flags=re.M) for text in (README, KOREAN))

    assert korean == english


def test_the_korean_readme_has_the_same_tables_and_links() -> None:
    """No table row and no link is missing."""
    for pattern in (r"^\|", r"\]\((docs/[^)]+)\)"):
        english, korean = (re.findall(pattern, prose(t), flags=re.M) for t in (README, KOREAN))

        assert korean == english


def test_each_readme_links_to_the_other_at_its_top() -> None:
    """Readers can switch languages at once."""
    english, korean = README.splitlines()[2], KOREAN.splitlines()[2]

    assert "(README.ko.md)" in english
    assert "(README.md)" in korean


def test_make_deploy_runs_the_documented_commands() -> None:
    """`make deploy` adds nothing to them and leaves nothing out."""
    documented = [
        line for line in commands() if line.endswith("--stage dev") and "make" not in line
    ]

    assert len(documented) == 3
    assert [line for line in make_runs("deploy STAGE=dev") if "--stage" in line] == documented


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make ")])
def test_each_make_target_exists(command: str) -> None:
    """The end-to-end tests run `make run`; the others are only planned here."""
    assert make_runs(command.removeprefix("make "))


def test_the_help_command_prints_the_options_of_the_local_gateway() -> None:
    """The command exits with 0."""
    [documented] = [line for line in commands() if line.endswith("--help")]
    arguments = documented.removeprefix(".venv/bin/python ").split()

    shown = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert "--port" in shown.stdout


def test_make_run_serves_the_documented_client() -> None:
    """Both commands run as documented, except for the port, which may be in use."""
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
        assert gateway.wait(timeout=60) == -signal.SIGINT  # make's; the gateway exited first

    assert f"Connected to {address}" in connected.stdout
    assert [json.loads(line)["level"] for line in lines] == ["INFO", "INFO"]


def test_the_documented_port_is_the_default() -> None:
    """`make run` without arguments serves the documented address."""
    shown = subprocess.run(
        [sys.executable, "-m", "localgateway", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    [port] = {line.split(":")[-1].split("/")[0] for line in commands() if "ws://" in line}
    assert f"default: {port}" in " ".join(shown.stdout.split())
