"""What contributors read, compared with the Makefile and with the files that it names."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def text_of(name: str) -> str:
    """Return the text of a file in the project's folder."""
    return (ROOT / name).read_text(encoding="utf-8")


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    lines = re.findall(r"^\.PHONY: (.*)", text_of("Makefile"), re.MULTILINE)
    return {name for line in lines for name in line.split()}


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_named_file_exists(document: str) -> None:
    """Of the files of the example function `report`, only the folders exist."""
    quoted = re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.(?:md|py|toml|in|txt))`", text_of(document))
    expected = {Path(name).parent if "report" in name else Path(name) for name in quoted}

    assert expected
    assert {name for name in expected if not (ROOT / name).exists()} == set()


def test_the_named_tables_of_the_deployment_tests_exist() -> None:
    """A step that names a table of a test leads to it."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "deployment").glob("*.py"))

    for name in ("FUNCTIONS", "RESOURCES", "SCENARIOS"):
        assert f"`{name}`" in text_of("CONTRIBUTING.md")
        assert re.search(rf"^{name} = ", tests, re.MULTILINE)


def test_every_named_make_target_exists() -> None:
    """Each command can be typed as it stands."""
    named = set(re.findall(r"\bmake ([a-z-]+)", text_of("CONTRIBUTING.md") + text_of(".ci/run")))

    assert named
    assert named <= targets()


def test_help_lists_every_target_on_one_short_line() -> None:
    """The descriptions are aligned and fit a terminal of 80 columns."""
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    lines = [line for line in shown.splitlines() if line.startswith("  ")]
    assert {line.split()[0] for line in lines} == targets()
    assert {re.match(r" +\S+ +", line).end() for line in lines} == {15}  # type: ignore[union-attr]
    assert max(map(len, lines)) <= 80


def test_the_pre_commit_hooks_are_parts_of_the_gate() -> None:
    """A commit that would fail them would fail `make check` too."""
    hooks = re.findall(
        r"entry: make --no-print-directory (\w+)", text_of(".pre-commit-config.yaml")
    )
    [gate] = re.findall(r"^check: ([a-z ]+)##", text_of("Makefile"), re.MULTILINE)

    assert hooks
    assert set(hooks) <= set(gate.split())


def test_the_changelog_has_the_current_version() -> None:
    """The newest release is that of pyproject.toml, below the unreleased changes."""
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]

    headings = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.MULTILINE)

    assert headings[:2] == ["Unreleased", version]
