"""What docs/acceptance.md says, compared with the checks and with the lists of the tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from click.testing import CliRunner

from accept.__main__ import SECONDS, main
from accept.aws import MAX_CALLS
from accept.checks.ending import MAX_LIMIT
from accept.plan import CHECKS
from accept.rows import MAX_PAGES
from accept.run import MAX_HANDSHAKES
from tests.conftest import ROOT
from tests.deployment.test_stack import NOT_HERE, REFUSED

if TYPE_CHECKING:
    from collections.abc import Collection

DOCUMENT = (ROOT / "docs" / "acceptance.md").read_text()


def quoted(line_start: str) -> set[str]:
    """Return what the first line that starts so quotes."""
    line = next(line for line in DOCUMENT.splitlines() if line.startswith(line_start))
    return set(re.findall(r"`([a-z-]+)`", line))


def names(*, aws_only: bool) -> Collection[str]:
    """Return the names of the checks that need AWS, or of the others."""
    return {check.name for check in CHECKS if check.aws_only is aws_only}


def test_the_document_names_every_check() -> None:
    """It says which need AWS."""
    assert quoted("| everywhere |") == names(aws_only=False)
    assert quoted("| AWS |") == names(aws_only=True)


def test_the_document_names_every_option() -> None:
    """The options are those of the command line."""
    shown = CliRunner().invoke(main, ["--help"]).output

    option = re.compile(r"--[a-z][a-z-]+")
    assert set(option.findall(shown)) - {"--help", "--project"} == set(option.findall(DOCUMENT))


def test_the_document_states_the_limits() -> None:
    """They are the constants of the code."""
    assert f"at most {MAX_HANDSHAKES} handshakes and {MAX_CALLS} calls" in DOCUMENT
    assert f"up to {MAX_PAGES} MB" in DOCUMENT
    assert f"(up to {MAX_LIMIT})" in DOCUMENT
    assert "three minutes" in DOCUMENT
    assert SECONDS == 180


def test_the_document_names_what_the_emulator_lacks() -> None:
    """The lists are those of the deployment tests."""
    table = DOCUMENT.partition("| check | why ministack")[2]

    for name in NOT_HERE:
        assert f"`{name}`" in table
    for kind, count in REFUSED.items():
        name = kind.replace(" with Metrics", "")
        assert f"({count})" in DOCUMENT
        assert name.rpartition("::")[2] in DOCUMENT or "alarms with `Metrics`" in DOCUMENT
