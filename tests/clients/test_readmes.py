"""The READMEs of the clients say what is so."""

import inspect
import re
import subprocess

import pytest

from incident_websocket import IncidentClient
from tests.conftest import ROOT
from tests.support.node import FOLDER, node

PYTHON = (ROOT / "clients" / "python" / "README.md").read_text()
JAVASCRIPT = (FOLDER / "README.md").read_text()


def options(readme: str) -> list[str]:
    """Return the names in the first column of the table of options."""
    section = readme.split("\n## Options\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE)


def block(readme: str, language: str) -> str:
    """Return the first example in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_options_in_python_are_described() -> None:
    parameters = inspect.signature(IncidentClient).parameters
    own = [name for name in parameters if name not in {"address", "connect", "for_tests"}]

    assert options(PYTHON) == own


def test_the_options_in_javascript_are_described() -> None:
    types = (FOLDER / "incident-websocket.d.ts").read_text()
    declared = re.findall(r"^  (\w+)\?:", types.split("interface Options")[1].split("\n}")[0], re.M)

    assert sorted(options(JAVASCRIPT)) == sorted(declared)


def test_the_examples_are_short() -> None:
    assert len(block(PYTHON, "python").splitlines()) <= 25
    assert len(block(JAVASCRIPT, "html").splitlines()) <= 21


@pytest.mark.parametrize("language", ["html", "js"])
def test_the_examples_in_javascript_are_valid(language: str) -> None:
    example = block(JAVASCRIPT, language).replace("</script>", "")
    code = re.sub(r"<script[^>]*>", "", example)
    command = [node(), "--input-type=module", "--check"]

    result = subprocess.run(command, input=code, capture_output=True, check=False, text=True)

    assert result.returncode == 0, result.stderr
