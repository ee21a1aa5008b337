"""`docs/security.md` says what is true of the tests, the policies and the packages."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"]["prod"]
# Comments that ignore a rule: its names, and the reason after a dash.
IGNORED = re.compile(r"# noqa: ([A-Z0-9]+(?:, [A-Z0-9]+)*)(?: - (\w.*))?")


def table(header: str) -> list[list[str]]:
    """Return the cells of the table whose first line is this one."""
    lines = TEXT.split(header + "\n", 1)[1].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


THREATS = table("| threat | what stops it | test |")


def functions(path: Path) -> set[str]:
    """Return the names of the functions of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat[0])
def test_each_threat_has_a_test(threat: list[str]) -> None:
    name, _, function = threat[2].strip("`").partition("::")

    assert function.startswith("test_")
    assert function in functions(ROOT / "tests" / name)


def granted(policy: Path) -> dict[str, str]:
    """Return what a policy grants, by the columns of the document."""
    columns: dict[str, set[str]] = defaultdict(set)
    for statement in json.loads(policy.read_text())["Statement"]:
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            for action in statement["Action"]:
                service, _, name = action.partition(":")
                if service == "dynamodb":
                    columns["history" if "History" in resource else "connections"].add(name)
                elif service == "execute-api":
                    columns["@connections"].add(resource.split("/")[-3])
                elif service != "logs":
                    columns["other"].add(action)
    return {column: ", ".join(sorted(names)) for column, names in columns.items()}


def test_each_function_has_the_documented_grants() -> None:
    documented = {}
    for row in table("| function | connections | history | `@connections` | other |"):
        cells = zip(("connections", "history", "@connections", "other"), row[1:], strict=True)
        documented[row[0].strip("`")] = {column: cell for column, cell in cells if cell}

    assert documented == {
        name.removeprefix("websocket_"): granted(ROOT / ".chalice" / function["iam_policy_file"])
        for name, function in CONFIG["lambda_functions"].items()
    }


def test_the_page_about_deployment_has_the_same_grants() -> None:
    columns = ("connections", "history", "@connections")
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    rows = text.split("| function | table | index | history | `@connections` | bus | other |\n")[1]
    documented = {}
    for line in rows.partition("\n\n")[0].splitlines()[1:]:
        name, items, index, *others = (cell.strip() for cell in line.strip("|").split("|"))
        documented[name.strip("`")] = {
            column: ", ".join(sorted(found))
            for column, cell in zip(columns, (f"{items} {index}", *others), strict=False)
            if (found := re.findall(r"\b[A-Z]\w+", cell))
        }

    assert documented == {
        row[0].strip("`"): {
            column: cell for column, cell in zip(columns, row[1:], strict=False) if cell
        }
        for row in table("| function | connections | history | `@connections` | other |")
    }


def test_the_page_says_of_which_stages_personal_data_has_backups() -> None:
    template = json.loads((ROOT / ".chalice" / "resources.json").read_text())
    settings = template["Resources"]["ConnectionsTable"]["Properties"]
    stages = {row[0]: row[1] for row in table("| what | where | how long |")}

    assert settings["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert stages["point-in-time copies of the connections table"].endswith("of both stages")


def pinned(name: str) -> list[str]:
    """Return the packages that a requirements file pins."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [match[1] for line in lines if (match := re.match(r"([\w-]+)(?:\[[\w,]+\])?==", line))]


def test_each_pinned_package_has_its_licence_in_the_list() -> None:
    documented = {row[0].strip("`"): row[1] for row in table("| package | licence | for |")}
    names = pinned("requirements.txt") + pinned("requirements-run.txt")

    assert documented == {name: licence(name) for name in names}


def licence(package: str) -> str:
    """Return the licence that an installed package declares."""
    metadata: Any = importlib.metadata.metadata(package)
    return str(metadata.get("License-Expression") or metadata["License"])


@pytest.mark.parametrize("name", sorted(pinned("requirements-dev.txt")))
def test_no_package_has_a_licence_that_binds_the_project(name: str) -> None:
    assert not re.search(r"\bA?GPL|Commercial|Proprietary", licence(name))


def test_each_ignored_finding_says_why() -> None:
    found = [
        (path.name, match[0])
        for folder in ("accept", "bench", "chalicelib", "clients", "localgateway", "provision")
        for path in (ROOT / folder).rglob("*.py")
        for match in IGNORED.finditer(path.read_text(encoding="utf-8"))
        if re.search(r"\bS\d", match[1]) and match[2] is None
    ]

    assert found == []
